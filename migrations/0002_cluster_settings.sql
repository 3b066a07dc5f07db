-- What of a cluster may be changed while it runs: configuration files of its API server, as one JSON object.
ALTER TABLE cluster ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
