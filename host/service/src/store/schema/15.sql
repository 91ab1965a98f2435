-- The job whose end is all that the webhook is told; none when it is told of all.
ALTER TABLE webhooks ADD COLUMN job TEXT REFERENCES jobs (id) ON DELETE CASCADE;
CREATE UNIQUE INDEX callback_of_job ON webhooks (job) WHERE job IS NOT NULL;
CREATE INDEX callbacks_open ON webhooks (tenant) WHERE job IS NOT NULL AND enabled = 1;
-- Those that are told of all are looked for with the end of each job, however many jobs have one of their own.
CREATE INDEX webhooks_for_all ON webhooks (tenant, id) WHERE job IS NULL;
DROP INDEX webhooks_of_tenant;
