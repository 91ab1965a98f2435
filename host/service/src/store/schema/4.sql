-- The report of a job's run, as a content.
ALTER TABLE jobs ADD COLUMN report TEXT;
