-- From which networks a token is good; from everywhere when there is none.
ALTER TABLE tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '';
