"""`chatdb status` and `chatdb history`: what the ledger of one product's database says. They change nothing."""

from __future__ import annotations

import argparse
import json
from datetime import datetime

from cli.targets import resolve
from infra import products
from infra.connection import connect, explained
from infra.migrations import directory, ledger, planner, runner
from infra.migrations.model import LedgerRow

STATUS = {"up": "applied", "down": "undone", "baseline": "recorded", "removed": "removed by hand"}


def status(options: argparse.Namespace) -> int:
    """Say where a database stands; 2 where something is pending."""
    product = products.load(options.product)
    found = runner.status(resolve(options, product.name), directory.read(product.migrations_folder))
    pending = [migration.name for migration in found.plan.pending]
    if options.json:
        print(json.dumps({"product": product.name, "version": found.version, "pending": pending}))
        return 2 if pending else 0
    print(f"{product.name} is at {found.version:04d}")
    half = found.plan.resumed
    for name in pending:
        how_far = f" ({progress(half)})" if half and half.name == name else ""
        print(f"  pending: {name}{how_far}")
    return 2 if pending else 0


def history(options: argparse.Namespace) -> None:
    """Print every row of the ledger, then say where it was changed by hand.

    The files are not looked at: what was done can be read whatever has become of them.

    Raises:
        BrokenLedgerError: a row was edited, removed, reordered or forged.
    """
    product = products.load(options.product)
    target = resolve(options, product.name)
    with connect(target) as connection, explained("the ledger cannot be read", target):
        rows = ledger.read(connection)
    if options.json:
        print(json.dumps([row._asdict() for row in rows], default=datetime.isoformat))
    elif rows:
        _draw(product.name, rows)
    else:
        print(f"nothing was done to this database by chatdb: {product.name} is at 0000")
    planner.check_chain(rows)


def progress(row: LedgerRow) -> str:
    """Return how far an unfinished row has come."""
    return f"{row.statements_done} of {row.statements_total} statements done"


def _draw(name: str, rows: list[LedgerRow]) -> None:
    from rich.table import Table

    from cli.console import out

    table = Table(title=f"{name}: what was done to this database", title_justify="left")
    for heading in ("date (UTC)", "migration", "description", "status", "by", "stack"):
        table.add_column(heading, no_wrap=heading.startswith("date"))
    for row in rows:
        said = STATUS.get(row.direction, row.direction)
        if row.finished_at is None and row.direction != "removed":
            said = f"{progress(row)}{f': {row.error}' if row.error else ''}"
        table.add_row(
            f"{row.started_at:%Y-%m-%d %H:%M}" if row.started_at else "",
            row.label,
            row.name.partition("_")[2].replace("_", " "),
            said,
            row.actor,
            row.stack,
        )
    out.print(table)
