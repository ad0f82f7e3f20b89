"""Run one section as one transaction together with its ledger row: one message, one answer. An edge.

Called by `runner` for files that do not say `transaction:false`. Where a lock is not to be had, the whole transaction
is tried again, and in between nothing of ours stands in the lock's queue, where it would hold writers up.
"""

from __future__ import annotations

import random
import time

from infra.migrations import gentle, indexes, ledger, statements
from infra.migrations.failing import failure, invalid_index
from infra.migrations.model import Blocker, Direction, Event, Migration
from infra.migrations.options import Options
from infra.migrations.session import LostConnectionError, Session

RETRYABLE = ("55P03", "40P01", "40001")  # lock_not_available, deadlock_detected, serialization_failure
# Whoever writes waits behind us for as long as we wait. At 200 transactions a second, 10 and then 40 ms are felt by ten
# of them, and in the second attempt there is time to see who is in the way, who is then waited out; judgement.
FIRST_LOCK_TIMEOUT_MS = 10


def run_section(
    session: Session, migration: Migration, direction: Direction, options: Options, *, durable: bool = True
) -> None:
    """Run one section and record it, or leave nothing behind.

    Args:
        session: Holds the lock.
        migration: The file.
        direction: Which of its sections.
        options: Budgets, and what the ledger says of the run.
        durable: Whether to wait until the commit is on the disk. Not needed where another one follows in the same run:
            a crash of the server takes commits away from the newest backwards, each with its ledger row.

    Raises:
        MigrationFailedError: a statement failed; nothing of the section stands.
        LostConnectionError: the connection broke.
    """
    for index in statements.indexes_if_not_exists(migration, direction):
        found = indexes.find(session.connection, index)
        if found is not None and not found.valid:
            raise invalid_index(migration, found.label)
    long = statements.patient(migration, direction)
    lock_timeout_ms = options.online_lock_timeout_ms if long else min(FIRST_LOCK_TIMEOUT_MS, options.lock_timeout_ms)
    section = migration.up if direction == "up" else migration.down
    record = ledger.append(migration, direction, **options.signature())
    until = time.monotonic() + options.lock_budget_s
    attempt = 1
    seen: tuple[Blocker, ...] = ()
    while True:
        opening = _opening(session, options, lock_timeout_ms, durable=durable) + (f"{gentle.ALONE};\n" if long else "")
        outcome = session.run(_transaction(session, opening, section, record), about=migration.name, patient=long)
        if outcome.error is None:
            return
        if outcome.lost:
            raise LostConnectionError(outcome)
        session.rollback()
        seen = outcome.blockers or seen
        left_s = until - time.monotonic()
        if outcome.error.sqlstate not in RETRYABLE or left_s <= 0:
            raise failure(
                migration,
                direction,
                outcome._replace(blockers=seen),
                opening=len(opening),
                before=session.fresh_count + 4 + long,
            )
        session.report(
            Event(
                kind="retrying",
                text=f"{migration.name} did not get a lock within {lock_timeout_ms} ms; attempt {attempt + 1} follows",
                migration=migration.name,
                blockers=outcome.blockers,
            )
        )
        waited = session.lookout.wait_out(outcome.blockers, about=migration.name, until=until)
        time.sleep(min(0.1 * 1.5**attempt, 5.0, max(left_s, 0)) * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        attempt += 1
        if not waited and not long:
            lock_timeout_ms = longer(lock_timeout_ms, options)


def longer(lock_timeout_ms: int, options: Options) -> int:
    """Return how long the next attempt waits where nobody is to be waited out: many pass by, each quickly."""
    return min(4 * lock_timeout_ms, options.lock_timeout_ms)


def runs_in_company(migration: Migration) -> bool:
    """Return whether the up section may share a message with others: it has nothing to look at first or to wait for."""
    return (
        migration.transactional
        and not statements.indexes_if_not_exists(migration, "up")
        and not statements.patient(migration, "up")
    )


def message(session: Session, migration: Migration, options: Options, *, durable: bool) -> str:
    """Return the up section and its record as one of several transactions in a message; needs `prepare_ledger`."""
    record = ledger.append_prepared(migration, "up", **options.signature())
    lock_timeout_ms = min(FIRST_LOCK_TIMEOUT_MS, options.lock_timeout_ms)
    opening = _opening(session, options, lock_timeout_ms, durable=durable)
    return _transaction(session, opening, migration.up, record)


def _opening(session: Session, options: Options, lock_timeout_ms: int, *, durable: bool) -> str:
    return (
        f"{session.fresh} BEGIN; SET LOCAL lock_timeout = {lock_timeout_ms}; "
        f"SET LOCAL statement_timeout = {options.statement_timeout_ms}; "
        f"SET LOCAL synchronous_commit TO {'DEFAULT' if durable else 'off'};\n"
    )


def _transaction(session: Session, opening: str, section: str, record: str) -> str:
    # The section may end without a semicolon or in a comment; an empty statement costs nothing.
    return f"{opening}{section}\n;\n{session.role} {record};\nCOMMIT"
