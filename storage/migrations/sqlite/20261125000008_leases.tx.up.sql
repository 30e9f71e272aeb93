-- What one of several processes holds for a time: the gateway of Discord, say.
CREATE TABLE IF NOT EXISTS leases (
    name text NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    expires_at text NOT NULL
);
