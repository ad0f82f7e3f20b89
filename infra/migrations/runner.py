"""Carry plans out: read, lock, read again, run, verify. The shell of the migration engine.

Called by the Pulumi resource and the command line, which do nothing else to a database's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.connection import Target, reading
from infra.migrations import ledger, planner
from infra.migrations.errors import NoSuchVersionError, label_ranges, ranges
from infra.migrations.failures import ConfirmationError, ProductionError
from infra.migrations.model import Event, LedgerRow, Migration, Plan
from infra.migrations.options import Applied, Hooks, Options, Report, Status, silent
from infra.migrations.run import Run
from infra.migrations.session import Session
from infra.migrations.tracing import traced

if TYPE_CHECKING:
    from infra.migrations.rows_at_risk import RowsAtRisk


def status(target: Target, migrations: Sequence[Migration], *, report: Report = silent) -> Status:
    """Return where a database stands. Takes no lock, changes nothing, one round trip after connecting.

    Raises:
        MigrationError: the files and the ledger do not fit.
        ConnectionFailedError: the database is not reached.
    """
    unread = reading(f"the ledger of {target.label} cannot be read", target)
    with Session(target, report=report) as session, unread:
        rows = session.first_rows()
    plan = planner.plan(migrations, rows)
    return Status(rows=tuple(rows), plan=plan, version=plan.version)


def apply(
    target: Target,
    migrations: Sequence[Migration],
    *,
    options: Options,
    report: Report = silent,
    hooks: Hooks | None = None,
    to: int | None = None,
) -> Applied:
    """Apply what is pending, each file once, however many others try at the same time.

    Args:
        target: Login and role.
        migrations: All files, lowest version first.
        options: Budgets, and what the ledger says of the run.
        report: Told each step.
        hooks: What the caller does before the first and after the last.
        to: Version to stop at; the newest when None.

    Raises:
        MigrationError: the files and the ledger do not fit; nothing was changed.
        MigrationFailedError: a statement failed; the state says what stands.
        RunnerBusyError, PooledConnectionError, LedgerAccessError: it was not begun.
        ConnectionFailedError: the database is not reached, or was lost for too long.
    """
    report(Event(kind="loaded", text=f"{len(migrations)} migrations loaded", statements=len(migrations)))
    with traced("apply", target, report) as told:
        run = Run(target, migrations, options, told, hooks or Hooks())
        return run.through_losses(lambda session: _apply(run, session, to))


def _apply(run: Run, session: Session, to: int | None) -> Applied:
    rows, sound = session.standing_rows()
    if not sound:
        planner.check_chain(session.first_rows())
    plan = planner.plan(run.migrations, rows, to=to, chained=False)
    if plan.pending:
        run.hooks.planned(plan)
        rows = run.lock(session, has_ledger=bool(rows))
        plan = planner.plan(run.migrations, rows, to=to)
        if not sound:
            ledger.refresh(session.connection)
    run.settle(plan)
    if plan.pending and not rows:
        plan = _before_the_first(run, session, plan, to)
    if plan.pending:
        from infra.migrations import together

        together.forward(run, session, plan)
    if run.done:
        run.verify(session, plan.target, plan)
    return run.result(plan.target)


def _before_the_first(run: Run, session: Session, plan: Plan, to: int | None) -> Plan:
    """Let the caller prepare, and take over what it found: a database that is at some version already."""
    session.take_role()
    adopted = run.hooks.before(session.connection, plan)
    session.take_role()
    if not adopted:
        return plan
    from infra.migrations import foreign_ledgers

    rows = _record_baseline(run, session, adopted)
    if others := foreign_ledgers.read(session.connection):
        run.report(Event(kind="baselined", text=foreign_ledgers.sentence(others)))
    return planner.plan(run.migrations, rows, to=to)


def baseline(
    target: Target,
    migrations: Sequence[Migration],
    *,
    to: int,
    options: Options,
    report: Report = silent,
    hooks: Hooks | None = None,
) -> Applied:
    """Record versions as applied without running them, for a database that has their shape already.

    Args:
        target: Login and role.
        migrations: All files, lowest version first.
        to: Newest version that the database has.
        options: What the ledger says of the run.
        report: Told each step.
        hooks: `verify` compares the database with that version before anything is recorded.

    Raises:
        NoSuchVersionError: there is no such file, or the ledger holds rows already.
        ChatdbError: what `hooks.verify` raises; nothing was recorded.
    """
    _up_to(migrations, to)
    with traced("baseline", target, report) as told:
        run = Run(target, migrations, options, told, hooks or Hooks())
        return run.through_losses(lambda session: _baseline(run, session, to))


def _baseline(run: Run, session: Session, to: int) -> Applied:
    rows = run.lock(session, has_ledger=bool(session.first_rows()))
    plan = planner.plan(run.migrations, rows)
    run.settle(plan)
    if rows and not run.baselined:
        reason = f"the ledger is at {plan.version:04d}: this database is managed already"
        raise NoSuchVersionError(to, reason, "Go on with `chatdb apply` or `chatdb rollback`.")
    run.verify(session, to, plan)
    _record_baseline(run, session, to)
    return run.result(to)


def _record_baseline(run: Run, session: Session, to: int) -> list[LedgerRow]:
    """Write one row for each version up to `to`, all in one transaction."""
    chosen = _up_to(run.migrations, to)
    rows = [ledger.append(migration, "baseline", **run.options.signature()) for migration in chosen]
    session.execute(f"{session.fresh} BEGIN; {'; '.join(rows)}; COMMIT", about="baseline")
    run.baselined.extend(chosen)
    run.report(Event(kind="baselined", text=f"recorded as applied up to {chosen[-1].name}", migration=chosen[-1].name))
    return ledger.read(session.connection)


def _up_to(migrations: Sequence[Migration], to: int) -> list[Migration]:
    """Return the files up to a version that has one."""
    chosen = [migration for migration in migrations if migration.version <= to]
    if not chosen or chosen[-1].version != to:
        known = label_ranges(ranges(migration.version for migration in migrations)) or "none"
        raise NoSuchVersionError(to, f"it has no file; there are: {known}", "Name a version that has a file.")
    return chosen


def at_risk(target: Target, migrations: Sequence[Migration], *, to: int) -> tuple[Plan, tuple[RowsAtRisk, ...]]:
    """Return what a rollback would undo and the rows that would be lost with it. Changes nothing.

    Raises:
        MigrationError: the files and the ledger do not fit, or there is no way back.
    """
    from infra.migrations import rows_at_risk

    uncounted = reading(f"what a rollback of {target.label} takes cannot be counted", target)
    with Session(target, report=silent) as session, uncounted:
        plan = planner.plan_back(migrations, session.first_rows(), to=to)
        session.take_role()
        return plan, rows_at_risk.count(session.connection, plan.pending)


def rollback(
    target: Target,
    migrations: Sequence[Migration],
    *,
    to: int,
    options: Options,
    confirmation: str,
    phrase: str | None,
    report: Report = silent,
    hooks: Hooks | None = None,
) -> Applied:
    """Undo migrations by their down sections, newest first, each in a transaction with its ledger row.

    Args:
        target: Login and role.
        migrations: All files, lowest version first.
        to: Version to come back to; 0 for the state before the first.
        options: Budgets, production, and what the ledger says of the run.
        confirmation: The phrase that allows it, to the letter.
        phrase: What was typed or given; None where nothing was.
        report: Told each step.
        hooks: `verify` is called with the version reached, where that is not 0.

    Raises:
        ProductionError: the stack is marked as production and there is no override.
        ConfirmationError: the phrase is not the confirmation; nothing was changed.
        MigrationError: the files and the ledger do not fit, or there is no way back.
        MigrationFailedError: a statement failed; the state says what stands.
    """
    if options.production and not options.production_override:
        raise ProductionError(options.stack)
    with traced("rollback", target, report) as told:
        run = Run(target, migrations, options, told, hooks or Hooks())
        return run.through_losses(lambda session: _rollback(run, session, to, confirmation, phrase))


def _rollback(run: Run, session: Session, to: int, confirmation: str, phrase: str | None) -> Applied:
    plan = planner.plan_back(run.migrations, session.first_rows(), to=to)
    if plan.pending:
        plan = planner.plan_back(run.migrations, run.lock(session, has_ledger=True), to=to)
    run.settle(plan, undone=True)
    if plan.pending and phrase != confirmation:
        from infra.migrations import rows_at_risk

        lost = rows_at_risk.count(session.connection, plan.pending)
        raise ConfirmationError(confirmation, phrase, rows_at_risk.sentence(lost))
    for migration in plan.pending:
        run.one(session, migration, "down", plan)
    if run.done and to:
        run.verify(session, to, plan)
    return run.result(to)
