-- The day on which webhooks were last told that a quota is nearly used up.
CREATE TABLE quota_warnings (
    tenant INTEGER NOT NULL REFERENCES tenants (id),
    quota TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (tenant, quota)
) STRICT, WITHOUT ROWID;
