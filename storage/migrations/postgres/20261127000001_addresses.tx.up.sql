-- The fixed addresses in a container's configuration, with bridge and VLAN: a new
-- container must not get one that is in use. Empty until the configuration is read.
ALTER TABLE containers ADD COLUMN IF NOT EXISTS addresses text NOT NULL DEFAULT '';
