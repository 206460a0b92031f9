-- Layout 2: the file says which layout it has, and which releases may read it. Those that know layout 1 only read and
-- write it as before, so user_version stays.

CREATE TABLE layout (
    number  INTEGER NOT NULL, -- of the newest layout-N.sql that ran
    release TEXT    NOT NULL, -- the one that ran it, for people
    oldest  TEXT    NOT NULL  -- the oldest release that may read this file, for people; user_version says it to programs
);

INSERT INTO layout (number, release, oldest) VALUES (2, '', '');

PRAGMA user_version = 1;
