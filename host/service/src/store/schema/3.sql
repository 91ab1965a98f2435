-- Records of jobs of which nothing else is left, by their age.
CREATE INDEX jobs_to_remove ON jobs (ended) WHERE gone = 1;
