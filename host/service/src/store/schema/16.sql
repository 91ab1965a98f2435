-- Bytes that the record of a job counts, none when it is short; and its labels, which go with it, found by it.
ALTER TABLE jobs ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX labels_of_job ON job_labels (job);
UPDATE jobs SET counted = octet_length(spec) + coalesce(octet_length(message), 0) + 2 * (
    SELECT coalesce(sum(octet_length(name) + octet_length(value) + octet_length(job)), 0) FROM job_labels WHERE job = jobs.id);
UPDATE jobs SET counted = 0 WHERE counted <= 4096;
DROP INDEX jobs_large;
CREATE INDEX jobs_counted ON jobs (tenant, counted) WHERE counted > 0;

-- Those that are over, in the order in which their records go when there are too many.
CREATE INDEX jobs_ended ON jobs (tenant, gone DESC, ended) WHERE ended IS NOT NULL;
