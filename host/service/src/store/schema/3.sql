-- Records of jobs of which nothing else is left, by their age.
CREATE INDEX jobs_to_remove ON jobs (ended) WHERE gone = 1;

-- What was asked for counts when it is large.
CREATE INDEX jobs_large ON jobs (tenant, length(spec)) WHERE length(spec) > 4096;
