"""Find what an attempt at building an index concurrently left behind, and clear it away. An edge.

Called by `online` before each such statement and by `transactional` for `IF NOT EXISTS`. An attempt that is cut short
leaves the index there, INVALID: it costs every writer, serves no reader, and satisfies `IF NOT EXISTS`.

Source: https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, sql

from infra.migrations.ddl import quoted
from infra.migrations.kinds import IndexBuild
from infra.migrations.statements import Statement

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
AND i.indrelid IN (SELECT unnest(ARRAY[t.oid, t.reltoastrelid]) FROM pg_class AS t WHERE {scope})"""
_OF_DATABASE = "true"
_OF_SCHEMA = "t.relnamespace = to_regnamespace(%(name)s)"
_OF_TABLE = """\
t.oid IN (WITH named AS (
    SELECT coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)), to_regclass(%(name)s))
        AS oid)
SELECT oid FROM named UNION SELECT relid FROM named, pg_partition_tree(oid))"""


_NOT_ON_A_COPY = (errors.UndefinedColumn, errors.UndefinedFunction, errors.UndefinedTable)


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
        """Its qualified name for people, in quotes where SQL needs them."""
        return quoted(self.schema, self.name)


def find(connection: psycopg.Connection[Any], index: IndexBuild) -> Found | None:
    """Return the index that a statement is about, None where none of the name stands."""
    if index.action == "create":
        row = connection.execute(_BY_TABLE, (_regclass(index.schema, index.table), index.name)).fetchone()
    else:
        row = connection.execute(_BY_NAME, (_regclass(index.schema, index.name),)).fetchone()
    return Found(*row) if row else None


def leftovers(connection: psycopg.Connection[Any], index: IndexBuild) -> list[Found]:
    """Return the INVALID `_ccnew` and `_ccold` indexes that REINDEX CONCURRENTLY left on what it names."""
    if index.name or index.table:
        scope, name = _OF_TABLE, _regclass(index.schema, index.name or index.table)
    else:
        scope, name = (_OF_SCHEMA, _regclass("", index.schema)) if index.schema else (_OF_DATABASE, "")
    return [Found(*row) for row in connection.execute(_LEFTOVERS.format(scope=scope).encode(), {"name": name})]


def drop(found: Found) -> str:
    """Return the statement that drops an index without holding anybody up."""
    return sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(found.identifier).as_string()


def is_as_written(connection: psycopg.Connection[Any], found: Found, statement: Statement, index: IndexBuild) -> bool:
    """Return whether an index is what its statement asks for.

    PostgreSQL spells the definition of the statement itself: the same index is made on an empty copy of the table,
    inside a transaction that is rolled back, and the two definitions are compared. One that cannot be made on a copy,
    as of a function that takes the table's rows, is not known to be it.
    """
    from pglast import parse_sql
    from pglast.ast import RangeVar, String
    from pglast.enums import OnCommitAction  # noqa: F401 - loads the enumerations that the printer needs
    from pglast.stream import RawStream
    from pglast.visitors import Visitor

    class WithoutTable(Visitor):
        """Takes the table's name away from its columns: the copy has another."""

        def visit_ColumnRef(self, _ancestors: Any, column: Any) -> None:  # noqa: N802 - pglast calls it by this name
            if isinstance(column.fields[-1], String):
                column.fields = column.fields[-1:]

    node: Any = parse_sql(statement.text)[0].stmt
    node.concurrent = False
    node.if_not_exists = False
    node.relation = RangeVar(schemaname="chatdb", relname="probe", inh=True, relpersistence="p")
    WithoutTable()(node)
    table = sql.SQL(_regclass(index.schema, index.table))
    row = None
    with contextlib.suppress(*_NOT_ON_A_COPY), connection.transaction(force_rollback=True):
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
