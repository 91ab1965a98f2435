-- Tenants of which nothing is started; 0, which is the number of none, stands for all of them.
CREATE TABLE pauses (
    tenant INTEGER PRIMARY KEY,
    parks INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;

-- Kernels that nobody may store or run.
CREATE TABLE blocked_kernels (
    digest TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
