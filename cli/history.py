"""`chatdb status` and `chatdb history`: what the ledger of each product's database says. They change nothing."""

from __future__ import annotations

import argparse
import json
from datetime import datetime

from cli.targets import named, require, resolve
from infra import products
from infra.connection import connect, reading
from infra.migrations import directory, filename, ledger, planner, runner
from infra.migrations.errors import BrokenLedgerError, MigrationError
from infra.migrations.model import LedgerRow
from infra.migrations.options import Status

STATUS = {"up": "applied", "down": "undone", "baseline": "recorded", "removed": "removed by hand"}


def status(options: argparse.Namespace) -> int:
    """Say where each database stands; 2 where something is pending in one.

    Raises:
        MigrationError: the files and the ledger of one do not fit; the others are said before.
    """
    found: dict[str, Status] = {}
    misfits: list[MigrationError] = []
    for name in require(options):
        try:
            found[name] = _standing(options, name)
        except MigrationError as error:
            if options.product:
                raise
            misfits.append(named(error, options, name))
    pending = {name: [migration.name for migration in one.plan.pending] for name, one in found.items()}
    if options.json:
        said = [{"product": name, "version": one.version, "pending": pending[name]} for name, one in found.items()]
        print(json.dumps(said[0] if options.product else said))
    else:
        for name, one in found.items():
            print(f"{name} is at {one.version:04d}")
            half = one.plan.resumed
            for migration in pending[name]:
                how_far = f" ({progress(half)})" if half and half.name == migration else ""
                print(f"  pending: {migration}{how_far}")
    filename.raise_all(misfits)
    return 2 if any(pending.values()) else 0


def _standing(options: argparse.Namespace, name: str) -> Status:
    product = products.load(name)
    return runner.status(resolve(options, name), directory.read(product.migrations_folder))


def history(options: argparse.Namespace) -> None:
    """Print every row of each ledger, then say where one was changed by hand.

    The files are not looked at: what was done can be read whatever has become of them.

    Raises:
        BrokenLedgerError: a row was edited, removed, reordered or forged.
    """
    found = {name: _ledger(options, name) for name in require(options)}
    if options.json:
        said = {name: [row._asdict() for row in rows] for name, rows in found.items()}
        print(json.dumps(said[options.product] if options.product else said, default=datetime.isoformat))
    else:
        for name, rows in found.items():
            _show(name, rows)
    for name, rows in found.items():
        try:
            planner.check_chain(rows)
        except BrokenLedgerError as error:
            raise named(error, options, name) from None


def _ledger(options: argparse.Namespace, name: str) -> list[LedgerRow]:
    target = resolve(options, name)
    with (
        connect(target) as connection,
        reading(f"the ledger of {name} cannot be read", target),
    ):
        return ledger.read(connection)


def _show(name: str, rows: list[LedgerRow]) -> None:
    if rows:
        _draw(name, rows)
    else:
        print(f"nothing was done to this database by chatdb: {name} is at 0000")


def progress(row: LedgerRow) -> str:
    """Return how far an unfinished row has come."""
    return f"{row.statements_done} of {row.statements_total} statements done"


def _draw(name: str, rows: list[LedgerRow]) -> None:
    from rich.table import Table

    from cli.console import print_table

    table = Table(title=f"{name}: what was done to this database", title_justify="left")
    for heading in ("date (UTC)", "migration", "description", "status", "by", "stack"):
        table.add_column(heading, no_wrap=heading in ("date (UTC)", "migration"), overflow="fold")
    for row in rows:
        said = STATUS.get(row.direction, row.direction)
        if row.finished_at is None and row.direction != "removed":
            undoing = "undoing: " if row.direction == "down" else ""
            said = f"{undoing}{progress(row)}{f': {row.error}' if row.error else ''}"
        table.add_row(
            f"{row.started_at:%Y-%m-%d %H:%M}" if row.started_at else "",
            row.label,
            row.name.partition("_")[2].replace("_", " "),
            said,
            row.actor,
            row.stack,
        )
    print_table(table)
