"""Find what an attempt at building an index concurrently left behind, and clear it away. An edge.

Called by `online` before each such statement and by `transactional` for `IF NOT EXISTS`. An attempt that is cut short
leaves the index there, INVALID: it costs every writer, serves no reader, and satisfies `IF NOT EXISTS`.

Source: https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infra.migrations.statements import IndexBuild, Statement

_BY_TABLE = """\
SELECT n.nspname, c.relname, i.indisvalid, i.indrelid = t.oid, pg_get_indexdef(c.oid)
FROM pg_class AS t JOIN pg_class AS c ON c.relnamespace = t.relnamespace
JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE t.oid = to_regclass(%s) AND c.relname = %s"""

_BY_NAME = """\
SELECT n.nspname, c.relname, i.indisvalid, true, pg_get_indexdef(c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.oid = to_regclass(%s)"""

# REINDEX CONCURRENTLY builds `name_ccnew` beside `name` and drops `name_ccold`; the TOAST table's index is rebuilt too.
_LEFTOVERS = """\
SELECT n.nspname, c.relname, i.indisvalid, true, pg_get_indexdef(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
AND i.indrelid IN (SELECT unnest(ARRAY[t.oid, t.reltoastrelid]) FROM pg_class AS t
    WHERE t.oid = coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%s)), to_regclass(%s)))"""


class Found(NamedTuple):
    """An index that stands."""

    schema: str
    name: str
    valid: bool
    same_table: bool
    definition: str

    @property
    def identifier(self) -> sql.Identifier:
        """Its qualified name for SQL."""
        return sql.Identifier(self.schema, self.name)

    @property
    def label(self) -> str:
        """Its qualified name for people."""
        return f"{self.schema}.{self.name}"


def find(connection: psycopg.Connection[Any], index: IndexBuild) -> Found | None:
    """Return the index that a statement is about, None where none of the name stands."""
    if index.action == "create":
        row = connection.execute(_BY_TABLE, (_regclass(index.schema, index.table), index.name)).fetchone()
    else:
        row = connection.execute(_BY_NAME, (_regclass(index.schema, index.name),)).fetchone()
    return Found(*row) if row else None


def leftovers(connection: psycopg.Connection[Any], index: IndexBuild) -> list[Found]:
    """Return the INVALID `_ccnew` and `_ccold` indexes that REINDEX CONCURRENTLY left on the table."""
    name = _regclass(index.schema, index.name or index.table)
    return [Found(*row) for row in connection.execute(_LEFTOVERS, (name, name))]


def drop(found: Found) -> str:
    """Return the statement that drops an index without holding anybody up."""
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(found.identifier).as_string()


def is_as_written(connection: psycopg.Connection[Any], found: Found, statement: Statement, index: IndexBuild) -> bool:
    """Return whether an index is what its statement asks for.

    PostgreSQL spells the definition of the statement itself: the same index is made on an empty copy of the table,
    inside a transaction that is rolled back, and the two definitions are compared.
    """
    from pglast import parse_sql
    from pglast.ast import RangeVar
    from pglast.enums import OnCommitAction  # noqa: F401 - loads the enumerations that the printer needs
    from pglast.stream import RawStream

    node: Any = parse_sql(statement.text)[0].stmt
    node.concurrent = False
    node.if_not_exists = False
    node.relation = RangeVar(schemaname="chatdb", relname="probe", inh=True, relpersistence="p")
    table = sql.SQL(_regclass(index.schema, index.table))
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("CREATE TABLE chatdb.probe (LIKE {})").format(table))
        connection.execute(RawStream()(node))
        row = connection.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'chatdb.probe'::regclass"
        ).fetchone()
    return row is not None and _after_using(row[0]) == _after_using(found.definition)


def _after_using(definition: str) -> str:
    """Return what tells one definition from another: whether it is unique, and all that follows the table's name."""
    head, using, rest = definition.partition(" USING ")
    return f"{head.startswith('CREATE UNIQUE')}{using}{rest}"


def _regclass(schema: str, name: str) -> str:
    """Return a name quoted as `to_regclass` reads it."""
    return (sql.Identifier(schema, name) if schema else sql.Identifier(name)).as_string()
