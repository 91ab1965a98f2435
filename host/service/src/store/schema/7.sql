-- When a token was last shown, to the hour.
ALTER TABLE tokens ADD COLUMN used INTEGER;
