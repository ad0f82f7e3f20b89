"""A folder of files of every kind, and all that must be equal once they are applied, whatever came in between.

Called by the tests that kill, cut off and fill up.
"""

from __future__ import annotations

from infra.connection import Target, connect
from tests.support.migration_files import file, tables

MIXED = {
    **tables(4),
    "0005_online.sql": file(
        "INSERT INTO table_1 SELECT n, n::text FROM generate_series(1, 20000) AS n;\n"
        "CREATE UNIQUE INDEX CONCURRENTLY table_1_unique_idx ON table_1 (word, id);\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS table_1_lower_idx ON table_1 (lower(word));\n"
        "REINDEX INDEX CONCURRENTLY table_1_word_idx;\n"
        "DROP INDEX CONCURRENTLY table_1_lower_idx;\n"
        "UPDATE table_1 SET word = word || '!';",
        "",
        options="transaction:false",
    ),
    "0006_after.sql": file("ALTER TABLE table_1 ADD COLUMN more int;"),
}


def shape(target: Target) -> list[tuple[object, ...]]:
    """Return the relations with the validity of indexes, the data, and what the ledger says is applied."""
    with connect(target) as connection:
        relations = connection.execute(
            "SELECT c.relname, c.relkind, i.indisvalid, pg_get_indexdef(c.oid) FROM pg_class AS c "
            "LEFT JOIN pg_index AS i ON i.indexrelid = c.oid "
            "WHERE c.relnamespace IN ('public'::regnamespace, 'chatdb'::regnamespace) ORDER BY 1"
        ).fetchall()
        data = connection.execute("SELECT count(*), max(word), sum(length(word)) FROM table_1").fetchall()
        rows = connection.execute(
            "SELECT sequence, name, checksum, direction, statements_done, statements_total, statements_digest, error, "
            "finished_at IS NULL FROM chatdb.ledger ORDER BY 1"
        ).fetchall()
    return [*relations, *data, *rows]
