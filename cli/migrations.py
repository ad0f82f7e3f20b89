"""`chatdb apply`, `status`, `history`, `rollback`, `baseline`: the migrations of one product's database.

With nothing to apply this module is most of what is loaded: it imports psycopg's users and the standard library.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from cli.targets import resolve
from infra import products
from infra.connection import Target
from infra.migrations import directory, runner
from infra.migrations.model import Event
from infra.migrations.options import Hooks, Options
from infra.products import Product
from infra.version import VERSION

# What a person wants to read of a run: the rest is for drawing.
TOLD = ("waiting", "retrying", "recovering", "executing", "rolled back", "baselined", "verifying")
# A serverless database that sleeps is up again within this time, in seconds; nothing sleeps on this machine.
WAKE_UP_S = 30.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def apply(options: argparse.Namespace) -> int:
    """Apply what is pending to one product's database and verify it."""
    product = products.load(options.product)
    target = resolve(options, product.name)
    say = _Printer(quiet=options.json)
    say.line(f"database: {target.host}/{target.database}")
    migrations = directory.read(product.migrations_folder)
    applied = runner.apply(
        target,
        migrations,
        options=_run_options(options, target),
        report=say.event,
        hooks=_hooks(product, options),
        to=options.to,
    )
    if options.json:
        print(
            json.dumps(
                {
                    "product": product.name,
                    "version": applied.version,
                    "applied": applied.names,
                    "digest": applied.digest,
                }
            )
        )
    elif applied.names:
        say.result(product, target, applied.version)
    else:
        say.line(f"nothing to do: {product.name} is at {applied.version:04d}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Say where a database stands; 2 where something is pending."""
    product = products.load(options.product)
    found = runner.status(resolve(options, product.name), directory.read(product.migrations_folder))
    pending = [migration.name for migration in found.plan.pending]
    if options.json:
        print(json.dumps({"product": product.name, "version": found.version, "pending": pending}))
    else:
        print(f"{product.name} is at {found.version:04d}")
        for name in pending:
            print(f"  pending: {name}")
    return 2 if pending else 0


def history(options: argparse.Namespace) -> None:
    """Print every row of the ledger."""
    product = products.load(options.product)
    found = runner.status(resolve(options, product.name), directory.read(product.migrations_folder))
    if options.json:
        print(json.dumps([row._asdict() for row in found.rows], default=str))
        return
    from rich.table import Table

    from cli.console import out

    table = Table(title=f"{product.name}: what was done to this database", title_justify="left")
    for heading in ("date", "migration", "description", "status", "by", "stack"):
        table.add_column(heading)
    for row in found.rows:
        done = row.finished_at is not None
        table.add_row(
            f"{row.started_at:%Y-%m-%d %H:%M}" if row.started_at else "",
            row.label,
            row.name.partition("_")[2].replace("_", " "),
            {"up": "applied", "down": "undone", "baseline": "recorded"}[row.direction]
            if done
            else f"{row.statements_done} of {row.statements_total} statements",
            row.actor,
            row.stack,
        )
    out.print(table)


def rollback(options: argparse.Namespace) -> int:
    """Step back to a version after the phrase that allows it; 1 where it is not given."""
    product = products.load(options.product)
    target = resolve(options, product.name)
    migrations = directory.read(product.migrations_folder)
    plan, lost = runner.at_risk(target, migrations, to=options.to)
    if not plan.pending:
        print(f"nothing to do: {product.name} is at {plan.version:04d}")
        return 0
    print(f"database: {target.host}/{target.database}", file=sys.stderr)
    print(f"WARNING: {product.warning}", file=sys.stderr)
    print(f"to undo: {', '.join(migration.name for migration in plan.pending)}", file=sys.stderr)
    for risk in lost:
        print(f"  {risk.rows} rows of {risk.table}{f' lose {risk.column}' if risk.column else ''}", file=sys.stderr)
    say = _Printer(quiet=options.json)
    undone = runner.rollback(
        target,
        migrations,
        to=options.to,
        options=_run_options(options, target),
        confirmation=product.confirmation,
        phrase=options.confirm if options.confirm is not None else _typed(product.confirmation),
        report=say.event,
        hooks=_hooks(product, options),
    )
    if options.json:
        print(json.dumps({"product": product.name, "version": undone.version, "undone": undone.names}))
    else:
        say.line(f"{product.name} is at {undone.version:04d}")
    return 0


def baseline(options: argparse.Namespace) -> None:
    """Record that a database has a version's shape already, after comparing it deeply."""
    product = products.load(options.product)
    target = resolve(options, product.name)
    migrations = directory.read(product.migrations_folder)
    to = options.to if options.to is not None else migrations[-1].version
    say = _Printer(quiet=options.json)
    done = runner.baseline(
        target,
        migrations,
        to=to,
        options=_run_options(options, target),
        report=say.event,
        hooks=_hooks(product, options),
    )
    if options.json:
        print(json.dumps({"product": product.name, "version": done.version, "recorded": done.names}))
    else:
        say.line(f"{product.name} is recorded at {done.version:04d}; from here `chatdb apply` goes on")


def _typed(confirmation: str) -> str | None:
    """Return the phrase as it was typed; None where there is no terminal or the input ends."""
    if not sys.stdin.isatty():
        return None
    try:
        return input(f"Type {confirmation} to go on: ")
    except EOFError:
        return None


def _run_options(options: argparse.Namespace, target: Target) -> Options:
    stack = options.stack or ""
    production = False
    if stack:
        from cli.context import setting

        production = setting(stack, "production") is True
    return Options(
        stack=stack,
        tool_version=VERSION,
        production=production,
        production_override=getattr(options, "override_production", False),
        connect_wait_s=0 if target.host in LOOPBACK or target.host.startswith("/") else WAKE_UP_S,
    )


def _hooks(product: Product, options: argparse.Namespace) -> Hooks:
    """Return the product's hooks, each loaded when it is called: with nothing to do, none is."""

    def before(connection: Any, plan: Any) -> int | None:
        from infra.hooks import product_hooks

        stand_ins, adopt = getattr(options, "stand_ins", False), getattr(options, "adopt", False)
        return product_hooks(product, stand_ins=stand_ins, adopt=adopt).before(connection, plan)

    def verify(connection: Any, version: int) -> None:
        from infra.hooks import product_hooks

        product_hooks(product).verify(connection, version)

    return Hooks(before=before, verify=verify)


class _Printer:
    """Prints the steps of a run, one line each, on stderr where the result is for a machine."""

    def __init__(self, *, quiet: bool) -> None:
        self._stream = sys.stderr if quiet else sys.stdout

    def line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def event(self, event: Event) -> None:
        if event.kind in TOLD or event.kind in ("loaded", "connecting", "closed"):
            self.line(event.text)

    def result(self, product: Product, target: Target, version: int) -> None:
        """Print what the catalogue says of the tables, as the products' documents do."""
        from infra import verification
        from infra.connection import connect

        with connect(target) as connection:
            summary = verification.verify(connection, product, version).summary
        for table in summary.tables:
            self.line(f"table {product.schema}.{table} created")
        named = ", ".join(summary.named_indexes)
        self.line(f"indexes created: {len(summary.named_indexes)} ({named})")
        further = [index for index in summary.indexes if index not in summary.named_indexes]
        if further:
            self.line(f"indexes added: {len(further)} ({', '.join(further)})")
        self.line(f"foreign key: {'yes' if summary.has_foreign_key else 'no'}")
        self.line(f"cascading delete: {'yes' if summary.cascades else 'no'} (read from the catalog)")
        self.line(f"{product.name} is at {version:04d}")
