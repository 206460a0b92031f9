-- The durable half of an edge's embedded registry. Keys under a lease are never written here: what they
-- stand for (a tunnel, a running edge) ends with the process.
--
-- Layout 1. Each later one is a file of its own that leads there from the one before; registry/layouts.py says what
-- user_version stands for.

CREATE TABLE item (
    key      TEXT    NOT NULL PRIMARY KEY, -- such as warp/agents/a-x7k2…; kinds are in registry/model.py
    value    BLOB    NOT NULL,             -- JSON; never a secret, of join tokens only a hash
    created  INTEGER NOT NULL,             -- revision at which the key appeared
    modified INTEGER NOT NULL              -- revision of its last change
) WITHOUT ROWID;

PRAGMA user_version = 1;
