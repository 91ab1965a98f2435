"""Loads lines of JSON into a table of SQLite: load.py DATABASE <ROWS.jsonl"""

import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1])
with connection:  # All of it or nothing.
    connection.executescript("DROP TABLE IF EXISTS rows; CREATE TABLE rows (id INTEGER PRIMARY KEY, result REAL NOT NULL)")
    insert = "INSERT INTO rows VALUES (json_extract(?1, '$.id'), json_extract(?1, '$.result'))"
    connection.executemany(insert, ((line,) for line in sys.stdin))
print("%d rows, %.3f" % connection.execute("SELECT count(*), sum(result) FROM rows").fetchone())
