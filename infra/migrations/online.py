"""Run one section statement by statement, each recorded, so that a run cut short goes on where it was. An edge.

Called by `run` for files that say `transaction:false`. A statement that may share a transaction with its record does,
so it runs exactly once. One that may not (CREATE INDEX CONCURRENTLY) is announced before and recorded after; where
the record is missing, what stands in the catalogue says how far it came.
"""

from __future__ import annotations

import contextlib
import random
import time

import psycopg

from infra.connection import server_message
from infra.migrations import gentle, indexes, ledger, partitions, statements
from infra.migrations.failing import invalid_index, other_index, statement_failure
from infra.migrations.kinds import IndexBuild
from infra.migrations.model import Blocker, Direction, Event, LedgerRow, Migration
from infra.migrations.options import Options
from infra.migrations.session import LostConnectionError, Outcome, Session
from infra.migrations.statements import Statement
from infra.migrations.transactional import FIRST_LOCK_TIMEOUT_MS, RETRYABLE, longer

# The server's word that a statement must stand alone where its text does not tell, as REINDEX of a partitioned table.
NO_TRANSACTION_ALLOWED = "25001"


def run_section(
    session: Session, migration: Migration, direction: Direction, options: Options, row: LedgerRow | None
) -> None:
    """Run what is left of one section and record it.

    Args:
        session: Holds the lock.
        migration: The file.
        direction: Which of its sections.
        options: Budgets, and what the ledger says of the run.
        row: The unfinished row of an earlier attempt, None for the first.

    Raises:
        MigrationFailedError: a statement failed; those before it stand and are recorded.
        InvalidIndexError: an index of the name stands that is not ours, or not as written.
        LostConnectionError: the connection broke.
    """
    parts = statements.split(migration, direction)
    if row is None:
        _execute(session, ledger.begin(migration, direction, len(parts), **options.signature()), migration)
    elif row.direction != direction:  # half applied, and now to be undone from its first statement on
        _execute(session, ledger.turn(migration, len(parts), **options.signature()), migration)
        row = None
    for statement in parts[row.statements_done if row else 0 :]:
        session.report(
            Event(
                kind="executing",
                text=f"{migration.name}: statement {statement.number} of {len(parts)}",
                migration=migration.name,
                statement=statement.number,
                statements=len(parts),
            )
        )
        _Step(session, migration, direction, options, parts, statement, row).run()
    _execute(session, ledger.finish(migration, direction), migration)


class _Step:
    """One statement with its record.

    Attributes:
        begun_before: Whether an attempt at it has begun already.
        unanswered: Whether nobody heard what became of the last one: it may have come to its end.
    """

    def __init__(
        self,
        session: Session,
        migration: Migration,
        direction: Direction,
        options: Options,
        parts: tuple[Statement, ...],
        statement: Statement,
        row: LedgerRow | None,
    ) -> None:
        self.session = session
        self.migration = migration
        self.direction = direction
        self.options = options
        self.parts = parts
        self.statement = statement
        self.begun_before = row is not None and statement.number <= row.statements_begun
        self.unanswered = self.begun_before and not (row and row.error)

    def run(self) -> None:
        """Run the statement, again where a lock was not to be had, and record it."""
        until = time.monotonic() + self.options.lock_budget_s
        limit_ms = self.options.online_lock_timeout_ms if self.statement.patient else self.options.lock_timeout_ms
        timeout_ms = limit_ms if self.statement.patient else min(FIRST_LOCK_TIMEOUT_MS, limit_ms)
        seen: tuple[Blocker, ...] = ()
        while True:
            run = self._atomically if self.statement.atomic else self._announced
            outcome = run(timeout_ms)
            if outcome.error is None:
                return
            if outcome.lost:
                raise LostConnectionError(outcome)
            if self.statement.atomic and outcome.error.sqlstate == NO_TRANSACTION_ALLOWED:
                self.statement = self.statement._replace(atomic=False)
                continue
            seen = outcome.blockers or seen
            if outcome.error.sqlstate not in RETRYABLE or time.monotonic() >= until:
                self._record_error(outcome.error)
                outcome = outcome._replace(blockers=seen)
                raise statement_failure(self.migration, self.direction, self.statement, outcome)
            text = f"{self.migration.name}: statement {self.statement.number} did not get its lock; it is tried again"
            self.session.report(
                Event(kind="retrying", text=text, migration=self.migration.name, blockers=outcome.blockers)
            )
            waited = self.session.lookout.wait_out(outcome.blockers, about=self.migration.name, until=until)
            time.sleep(0.2 * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            if not waited and not self.statement.patient:
                timeout_ms = longer(timeout_ms, self.options)
            self.begun_before, self.unanswered = True, False

    def _atomically(self, timeout_ms: int) -> Outcome:
        """Run the statement and its record as one transaction."""
        alone = f"{gentle.ALONE}; " if self.statement.patient else ""
        outcome = self.session.run(
            f"{self.session.fresh} {alone}BEGIN; SET LOCAL lock_timeout = {timeout_ms}; "
            f"SET LOCAL statement_timeout = {self.options.statement_timeout_ms};\n"
            f"{self.statement.text}\n;\n{self.session.role} {self._progress(done=True)}; COMMIT",
            about=self.migration.name,
            patient=self.statement.patient,
        )
        if outcome.error is not None and not outcome.lost:
            self.session.rollback()
        return outcome

    def _announced(self, timeout_ms: int) -> Outcome:
        """Record that the statement begins, run it alone, record that it is done."""
        about = self.migration.name
        left = self._left_to_run()
        settings = (
            f"{self.session.fresh} {self._progress(done=False)}; SET lock_timeout = {timeout_ms}; "
            f"SET statement_timeout = {self.options.statement_timeout_ms}; "
            f"{gentle.settings(self.session.connection.info.server_version, self.session.role)}"
        )
        outcome = self.session.run(settings, about=about)
        if outcome.error is None and left:
            outcome = self.session.run(left, about=about, patient=self.statement.patient)
        if outcome.error is None or (self.unanswered and outcome.error.sqlstate == self.statement.done_before):
            outcome = self.session.run(f"{self.session.fresh} {self._progress(done=True)}", about=about)
        return outcome

    def _left_to_run(self) -> str:
        """Return what is to be run after an earlier attempt: the statement, what ends it, or nothing."""
        if self.statement.detach and self.begun_before:
            left = partitions.left_of(self.session.connection, self.statement, self.statement.detach)
            return left if left or self.unanswered else self.statement.text
        if self.statement.build and not self._prepare(self.statement.build):
            return ""
        return self.statement.text

    def _prepare(self, index: IndexBuild) -> bool:
        """Clear away what an earlier attempt left; return whether the statement is still to be run."""
        connection = self.session.connection
        if index.action == "reindex":
            for leftover in indexes.leftovers(connection, index) if self.begun_before else ():
                self._clear(leftover)
            return True
        found = indexes.find(connection, index)
        if found is None:
            return index.action == "create" or not self.unanswered
        if index.action == "drop":
            return True
        if not found.valid:
            if not (self.begun_before and found.same_table):
                raise invalid_index(self.migration, found.label)
            self._clear(found)
            return True
        if not (self.begun_before or index.if_not_exists):
            return True  # the server says that it stands already
        if not (found.same_table and indexes.is_as_written(connection, found, self.statement, index)):
            raise other_index(self.migration, found.label, found.definition)
        return False

    def _clear(self, found: indexes.Found) -> None:
        text = f"{self.migration.name}: dropping the INVALID index {found.label} of an attempt that was cut short"
        self.session.report(Event(kind="recovering", text=text, migration=self.migration.name))
        try:
            _execute(self.session, indexes.drop(found), self.migration)
        except psycopg.errors.InsufficientPrivilege:
            if found.schema != "pg_toast":
                raise
            text = f"{self.migration.name}: {found.label} stays and costs each write: let a superuser drop it"
            self.session.report(Event(kind="recovering", text=text, migration=self.migration.name))

    def _progress(self, *, done: bool, error: str = "") -> str:
        number = self.statement.number
        count = number if done else number - 1
        return ledger.progress(
            self.migration,
            self.direction,
            begun=number,
            done=count,
            total=len(self.parts),
            digest=statements.digest(self.parts, count),
            error=error,
        )

    def _record_error(self, error: psycopg.Error) -> None:
        with contextlib.suppress(psycopg.Error):  # the statement's own error is what matters
            self.session.connection.execute(
                f"{self.session.fresh} {self._progress(done=False, error=server_message(error))}"
            )


def _execute(session: Session, statement: str, migration: Migration) -> None:
    """Run one of our own statements with fresh settings."""
    outcome = session.run(session.fresh, about=migration.name)
    if outcome.error is None:
        outcome = session.run(statement, about=migration.name)
    if outcome.lost:
        raise LostConnectionError(outcome)
    if outcome.error is not None:
        raise outcome.error
