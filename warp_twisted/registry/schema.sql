-- The durable half of an edge's embedded registry. Keys under a lease are never written here: what they
-- stand for (a tunnel, a running edge) ends with the process.
--
-- Version 1. A later version adds a file of its own that upgrades from this one; user_version says which ran.

CREATE TABLE item (
    key      TEXT    NOT NULL PRIMARY KEY, -- such as warp/agents/a-x7k2…; kinds are in registry/model.py
    value    BLOB    NOT NULL,             -- JSON; never a secret, of join tokens only a hash
    created  INTEGER NOT NULL,             -- revision at which the key appeared
    modified INTEGER NOT NULL              -- revision of its last change
) WITHOUT ROWID;

PRAGMA user_version = 1;
