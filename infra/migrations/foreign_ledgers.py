"""Recognise the ledgers of other migration tools, as evidence of what a database has been through. An edge.

Called where a database without our ledger is baselined or adopted, so that the message can say who was here. Nothing
is concluded from them: what counts is the shape.

Source: each tool's own table: https://alembic.sqlalchemy.org, https://orm.drizzle.team,
https://github.com/amacneil/dbmate, https://github.com/golang-migrate/migrate, https://documentation.red-gate.com/fd,
https://www.prisma.io/docs
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infra.words import counted, printable

_TABLES = """\
SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.relname = ANY (%s)
AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname"""

# A tool at work holds its ledger, and row security must hide no row from the count. What is asked is a courtesy.
_CAREFULLY = "SET LOCAL row_security = off; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '5s'"
UNREAD = "?"


class _Tool(NamedTuple):
    """How a tool keeps its ledger: its table, the columns that it must have, those it must not, and the question."""

    name: str
    table: str
    has: frozenset[str]
    lacks: frozenset[str]
    question: str


_TOOLS = (
    _Tool(
        "Alembic",
        "alembic_version",
        frozenset({"version_num"}),
        frozenset(),
        "SELECT string_agg(version_num::text, ', ' ORDER BY version_num), count(*) FROM {}",
    ),
    _Tool(
        "Drizzle",
        "__drizzle_migrations",
        frozenset({"hash", "created_at"}),
        frozenset(),
        "SELECT max(created_at)::text, count(*) FROM {}",
    ),
    _Tool(
        "golang-migrate",
        "schema_migrations",
        frozenset({"version", "dirty"}),
        frozenset(),
        "SELECT max(version)::text || CASE WHEN bool_or(dirty) THEN ' (dirty)' ELSE '' END, count(*) FROM {}",
    ),
    _Tool(
        "dbmate",
        "schema_migrations",
        frozenset({"version"}),
        frozenset({"dirty", "inserted_at"}),
        "SELECT max(version)::text, count(*) FROM {}",
    ),
    _Tool(
        "Flyway",
        "flyway_schema_history",
        frozenset({"installed_rank", "version", "success"}),
        frozenset(),
        "SELECT (array_agg(version::text ORDER BY installed_rank DESC) FILTER (WHERE success AND version IS NOT NULL))"
        "[1], count(*) FILTER (WHERE success) FROM {}",
    ),
    _Tool(
        "Prisma",
        "_prisma_migrations",
        frozenset({"migration_name", "finished_at", "rolled_back_at"}),
        frozenset(),
        "SELECT (array_agg(migration_name::text ORDER BY finished_at DESC))[1], count(*) FROM {} "
        "WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
    ),
)


class ForeignLedger(NamedTuple):
    """What another tool's ledger says.

    Attributes:
        tool: The tool's name.
        table: Its ledger, with the schema.
        version: The newest version it knows; "none" for an empty ledger, UNREAD where it cannot be read.
        migrations: How many it knows; 0 where it cannot be read.
    """

    tool: str
    table: str
    version: str
    migrations: int

    def __str__(self) -> str:
        rows = "which cannot be read" if self.version == UNREAD else counted(self.migrations, "row")
        return printable(f"{self.tool} at {self.version} ({self.table}, {rows})")


def read(connection: psycopg.Connection[Any]) -> tuple[ForeignLedger, ...]:
    """Return what the ledgers of other tools in this database say; nothing is changed.

    Args:
        connection: In autocommit mode; a table that cannot be read is named all the same.
    """
    found: list[ForeignLedger] = []
    names = sorted({tool.table for tool in _TOOLS})
    for schema, table, columns in connection.execute(_TABLES, (names,)).fetchall():
        for tool in _TOOLS:
            if table == tool.table and tool.has <= set(columns) and not tool.lacks & set(columns):
                version, count = _ask(connection, tool, sql.Identifier(schema, table))
                found.append(ForeignLedger(tool.name, f"{schema}.{table}", version, count))
    return tuple(found)


def sentence(ledgers: tuple[ForeignLedger, ...]) -> str:
    """Return who was here, for an error's detail; empty where nobody was."""
    return "other tools were here: " + "; ".join(map(str, ledgers)) if ledgers else ""


def _ask(connection: psycopg.Connection[Any], tool: _Tool, table: sql.Identifier) -> tuple[str, int]:
    """Return version and count; UNREAD for want of a right, within the time, or for other types than the tool's."""
    try:
        with connection.transaction():
            connection.execute(_CAREFULLY)
            row = connection.execute(sql.SQL(tool.question).format(table)).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return UNREAD, 0
    return (row[0] or "none", row[1]) if row else ("none", 0)
