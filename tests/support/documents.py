"""What the tests of the products' documents share: migrating, the real psql, a plain look into the catalogue.

The look is written apart from `infra.migrations.catalogue`, so that a mistake there cannot hide itself.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from embedded.server import packaged_bin_folder
from infra import products, verification
from infra.connection import Target
from infra.migrations import directory, preflight, runner, statements
from infra.migrations.model import Migration
from infra.migrations.options import Applied, Hooks, Options

NAMES = ("futureguide", "insights", "lyra", "robotics", "storefront")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What psql did.

    Attributes:
        status: Its exit status.
        lines: Lines of its standard output, columns apart by `|`.
        errors: Its standard error.
    """

    status: int
    lines: list[str]
    errors: str


def psql(target: Target, script: str, *, file: bool = False) -> Said:
    """Run SQL and psql's own commands through the real psql, stopping at the first error.

    Args:
        target: The database; psql acts as its role.
        script: What is given on standard input, or the path of a file for `psql -f`.
        file: Whether `script` is a path.
    """
    command = [str(packaged_bin_folder() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    command += ["-h", target.host, "-p", str(target.port), "-U", target.user, "-d", target.database]
    environment = {**os.environ, "PGPASSWORD": target.password, "PGCLIENTENCODING": "UTF8"}
    if target.role:
        environment["PGOPTIONS"] = f"-c role={target.role}"
    done = subprocess.run(
        [*command, "-f", script] if file else command,
        input="" if file else script,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Said(status=done.returncode, lines=done.stdout.splitlines(), errors=done.stderr)


def migrations(name: str) -> tuple[Migration, ...]:
    """Return a product's migrations."""
    return directory.read(products.load(name).migrations_folder)


def migrate(target: Target, name: str, *, to: int | None = None, adopt: bool = False) -> Applied:
    """Apply a product's migrations as the program does: prerequisites first, verification last."""
    product = products.load(name)
    hooks = Hooks(
        before=lambda connection, _plan: preflight.prepare(connection, product, adopt=adopt),
        verify=lambda connection, version: verification.verify(connection, product, version).require(),
    )
    return runner.apply(target, migrations(name), options=Options(), hooks=hooks, to=to)


def roll_back(target: Target, name: str, *, to: int = 0) -> Applied:
    """Undo a product's migrations with its confirmation."""
    phrase = products.load(name).confirmation
    return runner.rollback(target, migrations(name), to=to, options=Options(), confirmation=phrase, phrase=phrase)


def run_section(connection: psycopg.Connection[Any], migration: Migration, direction: str) -> None:
    """Run one section by psycopg alone, without ledger and runner: whole where it may, else statement by statement."""
    text, whole = (
        (migration.up, migration.transactional) if direction == "up" else (migration.down, migration.down_transactional)
    )
    if whole:
        with connection.transaction():
            connection.execute(text.encode())
        return
    for statement in statements.split(migration, direction):
        connection.execute(statement.text.encode())


def up_file(name: str, folder: Path) -> Path:
    """Write the up section of a product's first migration to a file for `psql -f`."""
    file = folder / f"{name}.sql"
    file.write_text(migrations(name)[0].up, encoding="utf-8")
    return file


def columns(connection: psycopg.Connection[Any], table: str) -> list[tuple[str, str, str, str]]:
    """Return (name, type, "NN" or "", default or "") of each column, in order."""
    return connection.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NN' ELSE '' END,
               coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """,
        [table],
    ).fetchall()


def constraints(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Return the definition of each primary, unique and foreign key and check, by name."""
    return dict(
        connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f', 'c')",
            [table],
        ).fetchall()
    )


def indexes(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Return what each valid index is on, by name: `btree (user_id)`."""
    return dict(
        connection.execute(
            "SELECT indexrelid::regclass::text, substring(pg_get_indexdef(indexrelid) FROM 'USING (.*)$')"
            " FROM pg_index WHERE indrelid = %s::regclass AND indisvalid AND indisready",
            [table],
        ).fetchall()
    )


def uncommented(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """Return the names of what has no comment among a table and its columns."""
    rows = connection.execute(
        """
        SELECT relname::text FROM pg_class WHERE oid = %(table)s::regclass AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL
        SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
        AND col_description(attrelid, attnum) IS NULL
        """,
        {"table": table},
    ).fetchall()
    return [name for (name,) in rows]


def refused(connection: psycopg.Connection[Any], statement: str, values: Any = None) -> str:
    """Return the SQLSTATE with which the server refuses a statement; "" where it takes it. Nothing of it stays."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode(), values)
    except psycopg.Error as error:
        return error.sqlstate or ""
    return ""


def one(connection: psycopg.Connection[Any], statement: str, values: Any = None) -> Any:
    """Return the only value of the only row."""
    rows = connection.execute(statement.encode(), values).fetchall()
    assert len(rows) == 1, rows
    return rows[0][0]
