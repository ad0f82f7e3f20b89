"""Count the rows that a rollback would delete, before it does. An edge.

Called by `runner` and by the command line, which shows the counts beside the warning. PostgreSQL's parser finds what
the down sections drop, truncate or delete from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infra.migrations.model import Migration
from infra.words import counted

_TABLE = """\
SELECT n.nspname, c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p', 'm')"""

_SCHEMA = """\
SELECT n.nspname, c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition ORDER BY c.relname"""


class RowsAtRisk(NamedTuple):
    """A table that would lose rows, or a column of its rows.

    Attributes:
        table: Its name with its schema.
        rows: How many rows it has, exactly.
        column: The column that would go; empty where the rows would.
    """

    table: str
    rows: int
    column: str = ""


def count(connection: psycopg.Connection[Any], migrations: Sequence[Migration]) -> tuple[RowsAtRisk, ...]:
    """Return every table that the down sections take rows or columns from, with its exact number of rows.

    Args:
        connection: In autocommit mode, as a role that owns the tables.
        migrations: The files that would be undone.
    """
    found: dict[tuple[str, str], RowsAtRisk] = {}
    for migration in migrations:
        for query, name, column in _targets(migration):
            for schema, table, forced in connection.execute(query, (name,)).fetchall():
                label = f"{schema}.{table}"
                # A table that goes is counted once, whatever columns of it an earlier file takes.
                if (label, column) in found or (label, "") in found:
                    continue
                rows = _count(connection, sql.Identifier(schema, table), forced=forced)
                found[label, column] = RowsAtRisk(label, rows, column)
    return tuple(found.values())


def sentence(risks: Sequence[RowsAtRisk]) -> str:
    """Return what would be lost, for people."""
    if not risks:
        return "no table would be lost"
    named = [
        f"{risk.table}.{risk.column} in {counted(risk.rows, 'row')}"
        if risk.column
        else f"{counted(risk.rows, 'row')} of {risk.table}"
        for risk in risks
    ]
    return f"would be lost: {', '.join(named)}"


def _count(connection: psycopg.Connection[Any], table: sql.Identifier, *, forced: bool) -> int:
    """Count all rows, also those that row security hides from their owner."""
    with connection.transaction(force_rollback=True):
        if forced:
            # Undone by the rollback, and the table is locked for as long as the count takes: it is about to go.
            connection.execute("SET LOCAL lock_timeout = '2s'")
            connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))
        connection.execute("SET LOCAL row_security = off")
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    return int(row[0]) if row else 0


def _targets(migration: Migration) -> list[tuple[str, str, str]]:
    """Return the query that finds each target, the name it takes, and the column where only that goes."""
    from pglast import parser

    targets: list[tuple[str, str, str]] = []
    for item in parser.parse_sql(migration.down):
        node: Any = item.stmt
        match type(node).__name__:
            case "DropStmt" if node.removeType.name in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
                targets.extend((_TABLE, _quoted([part.sval for part in name]), "") for name in node.objects)
            case "DropStmt" if node.removeType.name == "OBJECT_SCHEMA":
                targets.extend((_SCHEMA, name.sval, "") for name in node.objects)
            case "TruncateStmt":
                targets.extend((_TABLE, _of(relation), "") for relation in node.relations)
            case "DeleteStmt":
                targets.append((_TABLE, _of(node.relation), ""))
            case "AlterTableStmt":
                targets.extend(
                    (_TABLE, _of(node.relation), command.name)
                    for command in node.cmds
                    if command.subtype.name == "AT_DropColumn"
                )
    return targets


def _of(relation: Any) -> str:
    return _quoted([relation.schemaname, relation.relname] if relation.schemaname else [relation.relname])


def _quoted(parts: list[str]) -> str:
    return sql.Identifier(*parts).as_string()
