-- What one person asks of several containers at once, and how far a deletion goes.

ALTER TABLE jobs ADD COLUMN leftovers integer NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN batch text NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN batch_size integer NOT NULL DEFAULT 0;
ALTER TABLE confirmations ADD COLUMN subject text NOT NULL DEFAULT '';

CREATE INDEX IF NOT EXISTS jobs_batch ON jobs (batch);
