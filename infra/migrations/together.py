"""Apply what is pending, several short files in one message while they prove quick. An edge.

Called by `runner`. Each file still has a transaction of its own, with its ledger row; PostgreSQL stops at the first
that fails, and nothing after it has begun. That one then runs again by itself, as a file alone does: with its budgets,
its retries and its errors. A file that takes its time also goes alone, so that what is shown as running is what runs.

Source: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from infra.migrations import transactional
from infra.migrations.model import Migration, Plan
from infra.migrations.run import Run
from infra.migrations.session import LostConnectionError, Session

QUICK_S = 0.02  # a file that took less may share its message with those after it; what is shown lags by no more
MOST_FILES = 32  # then one message in 32 files is waited for: fewer would not be felt
MOST_CHARACTERS = 262_144  # the server holds a message in memory as a whole


def forward(run: Run, session: Session, plan: Plan) -> None:
    """Run the up sections of all pending files, lowest version first.

    Raises:
        MigrationFailedError: a statement failed; the state says what stands.
        LostConnectionError: the connection broke; the ledger says what stands.
    """
    queue = list(plan.pending)
    files = 1
    while queue:
        company = _company(queue[:files]) if plan.resumed is None or queue[0] is not plan.pending[0] else []
        started = time.monotonic()
        if len(company) > 1:
            done = _run(run, session, company, plan)
        else:
            run.one(session, queue[0], "up", plan)
            done = 1
        quick = (time.monotonic() - started) / max(done, 1) < QUICK_S
        files = min(2 * files, MOST_FILES) if quick and done >= len(company) else 1
        del queue[:done]


def _company(queue: Sequence[Migration]) -> list[Migration]:
    """Return the first of these files that may share a message."""
    company: list[Migration] = []
    characters = 0
    for migration in queue:
        characters += len(migration.up)
        if characters > MOST_CHARACTERS or not transactional.runs_in_company(migration):
            break
        company.append(migration)
    return company


def _run(run: Run, session: Session, company: Sequence[Migration], plan: Plan) -> int:
    """Send these files as one message and return how many of them stand."""
    session.prepare_ledger()
    before = len(run.done)
    run.sent = company
    run.begin(company[0])

    def on_commit() -> None:
        run.finish()
        done = len(run.done) - before
        if done < len(company):
            run.begin(company[done])

    message = ";\n".join(
        transactional.message(session, migration, run.options, durable=migration is plan.pending[-1])
        for migration in company
    )
    outcome = session.run(message, on_commit=on_commit)
    if outcome.lost:
        raise LostConnectionError(outcome)
    if outcome.error is not None:
        session.rollback()
        run.in_flight = None
    run.sent = ()
    return outcome.committed
