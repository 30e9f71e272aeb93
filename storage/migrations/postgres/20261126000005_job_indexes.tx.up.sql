-- A person waits for the row of a job, and for each index that it stands in. What
-- most jobs are not looked for by leaves them out.
DROP INDEX IF EXISTS jobs_untold;
DROP INDEX IF EXISTS jobs_batch;
DROP INDEX IF EXISTS jobs_last;
CREATE INDEX IF NOT EXISTS jobs_untold ON jobs (finished_at) WHERE finished_at IS NOT NULL AND notified_at IS NULL;
CREATE INDEX IF NOT EXISTS jobs_batch ON jobs (batch) WHERE batch <> '';
CREATE INDEX IF NOT EXISTS jobs_last ON jobs (container_id, created_at, id) WHERE action = 'create';
