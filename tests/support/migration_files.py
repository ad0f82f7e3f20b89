"""Migrations and ledger rows made in a line, for the tests of the migration engine."""

from __future__ import annotations

from datetime import UTC, datetime

from infra.migrations.filename import parse
from infra.migrations.model import LedgerRow, Migration

WHEN = datetime(2026, 8, 2, 10, 14, tzinfo=UTC)


def file(up: str, down: str = "", *, options: str = "", down_options: str = "") -> str:
    """Return the text of a migration file."""
    return f"-- migrate:up {options}\n{up}\n-- migrate:down {down_options}\n{down}\n"


def made(name: str, up: str = "SELECT 1;", down: str = "SELECT 2;", *, options: str = "") -> Migration:
    """Return a migration: `made("0001_first")`."""
    return parse(f"{name}.sql", file(up, down, options=options))


def tables(count: int) -> dict[str, str]:
    """Return files that make a table with an index each."""
    return {
        f"{number:04d}_table_{number}.sql": file(
            f"CREATE TABLE table_{number} (id bigint PRIMARY KEY, word text);\n"
            f"CREATE INDEX table_{number}_word_idx ON table_{number} (word);",
            f"DROP TABLE table_{number};",
        )
        for number in range(1, count + 1)
    }


def row(migration: Migration, sequence: int, direction: str = "up", **changes: object) -> LedgerRow:
    """Return the finished ledger row of a migration."""
    fields: dict[str, object] = {"finished_at": WHEN, "started_at": WHEN, **changes}
    made_row = LedgerRow(sequence, migration.version, migration.name, migration.checksum, direction)
    return made_row._replace(**fields)  # type: ignore[arg-type]
