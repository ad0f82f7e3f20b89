"""`chatdb apply`, `rollback` and `baseline`: what changes one product's database or its ledger.

With nothing to apply this module is most of what is loaded: it imports psycopg's users and the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from cli.progress import Progress
from cli.targets import resolve, stack_of
from infra import products
from infra.connection import Target, connect, reading
from infra.errors import ChatdbError, RefusedError, UnknownNameError
from infra.migrations import directory, draft_mark, ledger, runner
from infra.migrations.failures import ProductionError
from infra.migrations.model import Migration
from infra.migrations.options import Hooks, Options
from infra.products import Product
from infra.version import VERSION
from infra.words import counted

# A serverless database that sleeps is up again within this time, in seconds; nothing sleeps on this machine.
WAKE_UP_S = 30.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def apply(options: argparse.Namespace) -> None:
    """Apply what is pending to one product's database and verify it."""
    product = products.load(options.product)
    target = resolve(options, product.name)
    if options.stand_ins and (stack := _production(stack_of(options))):
        raise RefusedError(
            f"stack {stack} is marked as production: it gets no stand-ins",
            detail=f"Pulumi.{stack}.yaml says production; the application's own tables belong there",
            hint="Run the application's own migrations first, then this without --stand-ins.",
        )
    say = Progress(product, target, quiet=options.json)
    migrations = directory.read(product.migrations_folder)
    draft_mark.refuse(migrations)
    applied = runner.apply(
        target,
        migrations,
        options=_run_options(options, target),
        report=say,
        hooks=_hooks(product, options, say),
        to=options.to,
    )
    if options.json:
        result = {"product": product.name, "version": applied.version, "applied": applied.names}
        print(json.dumps({**result, "recorded": applied.baselined, "digest": applied.digest}))
    elif applied.names or applied.baselined:
        say.line(f"{product.name} is at {applied.version:04d}")
    else:
        say.line(f"nothing to do: {product.name} is at {applied.version:04d}")


def rollback(options: argparse.Namespace) -> None:
    """Step back to a version after the phrase that allows it.

    Raises:
        ProductionError: the stack is marked as production, or the one that last migrated this database is.
        ConfirmationError: the phrase was not given to the letter.
    """
    product = products.load(options.product)
    if not options.override_production and (stack := _production(stack_of(options))):
        raise ProductionError(stack)
    target = resolve(options, product.name)
    migrations = directory.read(product.migrations_folder)
    if not options.override_production and (stack := _production(_last_stack(target))):
        raise ProductionError(stack)
    to = options.to if options.to >= 0 else _steps_back(target, migrations, -options.to)
    plan, lost = runner.at_risk(target, migrations, to=to)
    say = Progress(product, target, quiet=True)
    if plan.pending:
        say.line(f"WARNING: {product.warning}")
        say.line(f"to undo: {', '.join(migration.name for migration in plan.pending)}")
        for risk in lost:
            say.line(f"  {counted(risk.rows, 'row')} of {risk.table}{f': {risk.column} goes' if risk.column else ''}")
    phrase = _phrase(options, product) if plan.pending else None
    if plan.pending and phrase == product.confirmation:
        _back_up_first(options, product, [stack_of(options), _last_stack(target)])
    undone = runner.rollback(
        target,
        migrations,
        to=to,
        options=_run_options(options, target),
        confirmation=product.confirmation,
        phrase=phrase,
        report=say,
        hooks=_hooks(product, options, say),
    )
    if options.json:
        rows = [{"table": risk.table, "column": risk.column, "rows": risk.rows} for risk in lost]
        print(json.dumps({"product": product.name, "version": undone.version, "undone": undone.names, "lost": rows}))
    else:
        print(f"{'' if plan.pending else 'nothing to do: '}{product.name} is at {undone.version:04d}")


def baseline(options: argparse.Namespace) -> None:
    """Record that a database has a version's shape already, after comparing it deeply.

    Without `--to` it is the version whose shape stands there. Ledgers of other tools are named: they are evidence of
    where the shape comes from, and are left as they are.
    """
    from infra.migrations import foreign_ledgers
    from infra.verification import VerificationFailedError

    product = products.load(options.product)
    target = resolve(options, product.name)
    migrations = directory.read(product.migrations_folder)
    say = Progress(product, target, quiet=options.json)
    unread = reading(f"{product.name} cannot be compared", target)
    with connect(target) as connection, unread:
        others = foreign_ledgers.read(connection)
        evidence = foreign_ledgers.sentence(others)
        if evidence:
            say.line(evidence)
        to = options.to if options.to is not None else _shape(connection, product, migrations)
    try:
        done = runner.baseline(
            target,
            migrations,
            to=to,
            options=_run_options(options, target),
            report=say,
            hooks=_hooks(product, options, say),
        )
    except ChatdbError as error:
        if evidence and evidence not in error.detail:
            error.detail = f"{error.detail}\n{evidence}"
        if isinstance(error, VerificationFailedError):
            error.hint = "Mend what is listed so that it is that version, or name the one it has with --to."
        raise
    if options.json:
        found = [{"tool": other.tool, "table": other.table, "version": other.version} for other in others]
        result = {"product": product.name, "version": done.version, "recorded": done.baselined}
        print(json.dumps({**result, "other_ledgers": found}))
    else:
        say.line(f"{product.name} is recorded at {done.version:04d}; from here `chatdb apply` goes on")


def _shape(connection: Any, product: Product, migrations: Sequence[Migration]) -> int:
    """Return the version whose shape a database without a ledger has.

    Raises:
        TableInTheWayError: it has none's; each difference from the closest is listed.
        ChatdbError: nothing of the product stands there.
    """
    from infra.migrations import preflight

    if ledger.read(connection):
        return migrations[-1].version  # the runner says that it is managed already
    found = preflight.table_in_the_way(connection, product, adopt=True)
    if found is None:
        raise RefusedError(
            f"there is nothing of {product.name} to record",
            detail=f"none of its tables stands: {', '.join(f'{product.schema}.{name}' for name in product.tables)}",
            hint=f"Make them: chatdb apply --product {product.name}",
        )
    return found


def _steps_back(target: Target, migrations: Sequence[Migration], steps: int) -> int:
    """Return the version that is so many steps before the one the database is at; a half-done one counts.

    Raises:
        ChatdbError: there are not that many.
    """
    plan = runner.status(target, migrations).plan
    standing = [0, *(migration.version for migration in plan.applied)]
    if plan.resumed:
        standing.append(plan.resumed.version)
    if steps >= len(standing):
        raise RefusedError(
            f"cannot step back {steps} versions",
            detail=f"the database is at {plan.version:04d}; {len(standing) - 1} versions are applied",
            hint="Step back less; --to 0 undoes everything.",
        )
    return standing[-1 - steps]


def _phrase(options: argparse.Namespace, product: Product) -> str | None:
    """Return the phrase as it was given or typed; None where there is no terminal or the input ends."""
    if options.confirm is not None:
        return str(options.confirm)
    if not sys.stdin.isatty():
        return None
    print(f"Type {product.confirmation} to go on: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.removesuffix("\n") if line else None


def _last_stack(target: Target) -> str:
    """Return the stack for which this database was last migrated; empty without one."""
    unread = reading(f"the ledger of {target.label} cannot be read", target)
    with connect(target) as connection, unread:
        rows = ledger.read(connection)
    return rows[-1].stack if rows else ""


def _production(stack: str) -> str:
    """Return the stack where its file marks it as production, else an empty name."""
    if not stack:
        return ""
    from cli.context import switched_on

    with contextlib.suppress(UnknownNameError):
        return stack if switched_on(stack, "production") else ""
    return ""


def _back_up_first(options: argparse.Namespace, product: Product, stacks: Sequence[str]) -> None:
    """Back a protected stack's database up before steps are undone; any other where a place is named for it.

    Raises:
        ChatdbError: the backup cannot be taken, or the stack has no place for it.
    """
    from cli import backup, teardown

    protected = ""
    for stack in filter(None, stacks):
        with contextlib.suppress(UnknownNameError):
            protected = protected or (stack if teardown.is_protected(stack) else "")
    if not protected and not options.backup_to:
        return
    store = backup.store_of(options, options.backup_to, flag="--backup-to")
    _, place = backup.take(options, protected or stack_of(options), product.name, store)
    print(f"backed up {product.name}: {place}", file=sys.stderr)


def _run_options(options: argparse.Namespace, target: Target) -> Options:
    local = target.host in LOOPBACK or target.host.startswith("/")
    given_s = getattr(options, "wait", None)
    wait_s = given_s if given_s is not None else 0 if local else WAKE_UP_S
    return Options(stack=stack_of(options), tool_version=VERSION, connect_wait_s=wait_s)


def _hooks(product: Product, options: argparse.Namespace, say: Progress) -> Hooks:
    """Return the product's hooks, each loaded when it is called: with nothing to do, none is."""

    def planned(plan: Any) -> None:
        from infra.hooks import product_hooks

        product_hooks(product).planned(plan)

    def before(connection: Any, plan: Any) -> int | None:
        from infra.hooks import product_hooks

        stand_ins, adopt = getattr(options, "stand_ins", False), getattr(options, "adopt", False)
        return product_hooks(product, stand_ins=stand_ins, adopt=adopt).before(connection, plan)

    def verify(connection: Any, version: int) -> None:
        from infra import verification

        say.verified = verification.verify(connection, product, version)
        say.verified.require()

    return Hooks(planned=planned, before=before, verify=verify)
