-- What a container was made of: a template of pvechat, and the file that it was
-- unpacked from.
ALTER TABLE containers ADD COLUMN IF NOT EXISTS made_from text NOT NULL DEFAULT '';
ALTER TABLE containers ADD COLUMN IF NOT EXISTS os_template text NOT NULL DEFAULT '';
