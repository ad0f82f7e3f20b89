"""One run over one session, or over several where the connection is lost on the way. An edge.

With nothing to do, loading is most of the time, so what only a run with something to do needs is loaded there.
Called by `runner`, which puts these steps together. What was committed is always read from the ledger, never guessed:
after a lost connection the run reads it again and goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import psycopg
from psycopg import pq

from infra.connection import Target, server_message
from infra.errors import ChatdbError, ConnectionFailedError, DatabaseError
from infra.migrations import ledger, planner
from infra.migrations.failures import MigrationFailedError, standing
from infra.migrations.model import Direction, Event, LedgerRow, Migration, Plan
from infra.migrations.options import Applied, Hooks, Options, Report
from infra.migrations.session import LostConnectionError, Session

_Result = TypeVar("_Result")


class Run:
    """What one call of the runner has done so far."""

    def __init__(
        self, target: Target, migrations: Sequence[Migration], options: Options, report: Report, hooks: Hooks
    ) -> None:
        self.target = target
        self.migrations = migrations
        self.options = options
        self.report = report
        self.hooks = hooks
        self.done: list[Migration] = []
        self.baselined: list[Migration] = []
        self.in_flight: Migration | None = None
        self.sent: Sequence[Migration] = ()  # in one message, whose answer has not come to its end
        self._began = 0.0

    def through_losses(self, work: Callable[[Session], _Result]) -> _Result:
        """Do the work, again from the start in a new session where the connection is lost.

        Raises:
            ConnectionFailedError: it stays lost for longer than the options allow.
        """
        wait_s = self.options.connect_wait_s
        lost_at = done_then = None
        words = ""
        while True:
            try:
                with Session(self.target, report=self.report, connect_wait_s=wait_s) as session:
                    problem = self._attempt(session, work)
                    if not isinstance(problem, Exception):
                        return problem
            except ConnectionFailedError as error:
                if lost_at is not None:
                    raise self._lost(f"{words}; since then: {error.detail}") from None
                raise
            words = " ".join(str(problem).split())
            now = time.monotonic()
            if lost_at is None or done_then != len(self.done):
                lost_at, done_then = now, len(self.done)
            if now - lost_at >= self.options.reconnect_s:
                raise self._lost(words)
            self.report(Event(kind="retrying", text=f"the connection was lost ({words}); connecting again"))
            wait_s = max(self.options.reconnect_s, wait_s)
            time.sleep(0.1)

    def _lost(self, detail: str) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"the connection to {self.target.label} was lost",
            detail=detail,
            hint="The server's log says why it went: a full disk, a crash, a restart. Once it is back, run the same "
            "command again: it goes on where the ledger says.",
            state=self._state_after_loss(),
            sqlstate="08006",
        )

    def _attempt(self, session: Session, work: Callable[[Session], _Result]) -> _Result | Exception:
        """Return the work's result, or what shows that the connection was lost."""
        try:
            return work(session)
        except LostConnectionError as error:
            return error
        except psycopg.Error as error:
            if session.connection.pgconn.status == pq.ConnStatus.BAD:
                return error
            from infra.connection_failures import hint_for

            raise DatabaseError(
                f"migrating {self.target.label} failed",
                detail=server_message(error),
                hint=error.diag.message_hint or hint_for(error.sqlstate, self.target),
                state=self._state_after_loss(),
                sqlstate=error.sqlstate,
            ) from None

    def lock(self, session: Session, *, has_ledger: bool) -> list[LedgerRow]:
        """Refuse a pooled connection, take the lock, make the ledger where there is none, and read it."""
        from infra.migrations import lock, pooling

        session.pid = pooling.refuse_pooled(session.connection, self.target)
        session.take_role()
        lock.acquire(session.connection, self.target.label, wait_s=self.options.runner_wait_s, report=self.report)
        if not has_ledger:
            rows = ledger.read(session.connection)
            if rows:
                return rows
            ledger.ensure(session.connection)
        return ledger.read(session.connection)

    def settle(self, plan: Plan, *, undone: bool = False) -> None:
        """Count as done what the ledger says is done.

        The COMMIT of the last one may have got no answer; a crash of the server may have taken the newest ones away.
        """
        unknown = self.sent or ([self.in_flight] if self.in_flight else [])
        claimed = [*self.done, *(migration for migration in unknown if migration not in self.done)]
        applied = (*plan.applied, *plan.pending) if undone else plan.applied
        self.done = [migration for migration in claimed if (migration in applied) != undone]
        self.in_flight, self.sent = None, ()

    def begin(self, migration: Migration, doing: str = "executing") -> None:
        """Tell that a migration begins."""
        self.report(Event(kind="executing", text=f"{doing} {migration.name}", migration=migration.name))
        self.in_flight = migration
        self._began = time.monotonic()

    def finish(self, did: Literal["applied", "rolled back"] = "applied") -> None:
        """Count the one that is under way as done."""
        migration = self.in_flight
        assert migration is not None  # noqa: S101 - `begin` comes before
        self.in_flight = None
        self.done.append(migration)
        seconds = time.monotonic() - self._began
        self.report(Event(kind=did, text=f"{did} {migration.name}", migration=migration.name, seconds=seconds))

    def one(self, session: Session, migration: Migration, direction: Direction, plan: Plan) -> None:
        """Run one migration's section and record it."""
        row = plan.resumed if plan.resumed and plan.resumed.version == migration.version else None
        transaction = migration.transactional if direction == "up" else migration.down_transactional
        self.begin(migration, "executing" if direction == "up" else "rolling back")
        try:
            if transaction and row is None:
                from infra.migrations import transactional

                last = migration is plan.pending[-1]
                transactional.run_section(session, migration, direction, self.options, durable=last)
            else:
                from infra.migrations import online

                online.run_section(session, migration, direction, self.options, row)
        except ChatdbError as error:
            left = self._left_behind(error, migration, transaction=transaction and row is None)
            error.state = self._standing(plan, migration, f"{error.state or f'failed {migration.label}'}; {left}")
            raise
        self.finish("applied" if direction == "up" else "rolled back")

    def verify(self, session: Session, version: int, plan: Plan) -> None:
        """Let the caller look at what was made."""
        self.report(Event(kind="verifying", text=f"verifying version {version:04d}"))
        session.take_role()
        try:
            self.hooks.verify(session.connection, version)
        except ChatdbError as error:
            if self.done or not error.state:
                error.state = self._standing(
                    plan, None, "the migrations stand, their shape is not known to be as it must be"
                )
            raise
        self.report(Event(kind="verified", text=f"version {version:04d} is as it must be"))

    def result(self, version: int) -> Applied:
        """Return what this run did."""
        files = [migration for migration in self.migrations if migration.version <= version]
        return Applied(
            names=tuple(migration.name for migration in self.done),
            version=version,
            digest=planner.digest(files),
            baselined=tuple(migration.name for migration in self.baselined),
        )

    def _standing(self, plan: Plan, failed: Migration | None, sentence: str) -> str:
        done = [migration.version for migration in self.done]
        pending = [m for m in plan.pending if m.version not in done and m != failed]
        if plan.target < plan.version:
            return standing(done, sentence, pending, verb="rolled back")
        before = [migration.version for migration in plan.applied]
        return standing(sorted({*before, *done}), sentence, pending)

    def _left_behind(self, error: ChatdbError, migration: Migration, *, transaction: bool) -> str:
        if transaction:
            return f"{migration.label} left nothing behind"
        if isinstance(error, MigrationFailedError) and error.statement:
            return f"the next run goes on at its statement {error.statement}"
        return "what it has done is recorded, and the next run goes on from there"

    def _state_after_loss(self) -> str:
        done = f"done in this run: {', '.join(migration.name for migration in self.done)}" if self.done else ""
        unknown = f"{self.in_flight.name} was under way: the ledger says what stands" if self.in_flight else ""
        return "; ".join(part for part in (done, unknown) if part) or "Nothing was changed."
