"""One connection to migrate over. An edge.

Called by `runner` and its parts. A batch of statements goes out as one message; while the server works on it, this
module waits on the socket, and where that takes long it has `lookout` ask over a second connection who blocks.

Source: https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
"""

from __future__ import annotations

import contextlib
import random
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import errors, pq, sql

from infra.connection import Target, connect, server_message
from infra.errors import ConnectionFailedError
from infra.migrations import ledger, ledger_sql
from infra.migrations.model import Blocker, Event, LedgerRow
from infra.migrations.options import Report

if TYPE_CHECKING:
    from infra.migrations.lookout import Lookout, Watch

TRANSACTION_TIMEOUT_SINCE = 170_000  # PostgreSQL 17
_WORTH_A_RETRY = ("08001", "08006", "57P03", "53300")
# The server reads a whole message by what is set when it comes, whatever the message itself sets.
_READ_BY = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}


class Outcome(NamedTuple):
    """What became of a batch.

    Attributes:
        done: Statements of the batch that are done.
        committed: Transactions of the batch that are committed.
        error: What stopped it, if anything did.
        blockers: The sessions that it waited for last.
        lost: Whether the connection is gone.
    """

    done: int
    committed: int
    error: psycopg.Error | None
    blockers: tuple[Blocker, ...]
    lost: bool


def _no_news() -> None:
    """Tell nobody."""


class LostConnectionError(Exception):
    """The connection broke: only the ledger can tell whether the transaction was committed. Never leaves `run`."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome.error))
        self.outcome = outcome


class Session:
    """A connection in autocommit mode that acts as the target's role. Use as a context manager."""

    def __init__(self, target: Target, *, report: Report, connect_wait_s: float = 0) -> None:
        self.target = target
        self.report = report
        name = sql.Identifier(target.role).as_string()
        self.role = f"SET ROLE {name};" if target.role else "RESET ROLE;"
        self.local_role = f"SET LOCAL ROLE {name};" if target.role else ""
        self._lookout: Lookout | None = None
        self._prepared = False
        report(Event(kind="connecting", text=f"connecting to {target.label}"))
        self.connection = _connect_patiently(target.to(role=""), report, connect_wait_s)
        self.pid = self.connection.info.backend_pid  # a pooler gives out others than the server's
        report(Event(kind="connected", text=f"connected to {target.label}"))
        # Before each batch: what an earlier file set for the session must not reach the next one.
        settings = ["RESET ALL", "SET client_encoding = 'UTF8'"]
        if self.connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            settings.append("SET transaction_timeout = 0")  # it would end the session in the middle of a file
        if self.connection.info.parameter_status("standard_conforming_strings") != "on":
            # The login or the database sets it: 'a\\b' would be other text here than where the file was tried.
            settings.append("SET standard_conforming_strings = on")
        self.fresh = f"{'; '.join(settings)}; {self.role}"
        self.fresh_count = len(settings) + 1

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def lookout(self) -> Lookout:
        """Who looks who is in the way. Not loaded where nothing is run."""
        if self._lookout is None:
            from infra.migrations.lookout import Lookout

            self._lookout = Lookout(self.target, self.connection, self.pid, self.report)
        return self._lookout

    def close(self) -> None:
        """Close both connections; the lock goes with the first."""
        if self._lookout:
            self._lookout.close()
        self.connection.close()
        self.report(Event(kind="closed", text="connection closed"))

    def first_rows(self) -> list[LedgerRow]:
        """Read the whole ledger as the role, in one round trip that leaves nothing set behind.

        A pooled connection serves for this too: what it sets ends with its transaction.

        Raises:
            ConnectionFailedError: the role may not be taken.
            LedgerAccessError: the ledger may not be read.
            BrokenLedgerError: a part of it is missing.
        """
        return ledger.rows_of(self._first(ledger_sql.READ))

    def standing_rows(self) -> tuple[list[LedgerRow], bool]:
        """Read like `first_rows` the newest row of each version, and whether the ledger is as it was written."""
        records = self._first(ledger_sql.READ_STANDING)
        return ledger.standing_of(records) if records else ([], True)

    def _first(self, query: str) -> list[Any]:
        try:
            cursor = self.connection.execute(f"{self.local_role} {query}")
            while cursor.nextset():
                pass
            return cursor.fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            ledger.require_none(self.connection, error)
            return []
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as error:
            self.take_role()
            raise ledger.access_error(error, self.connection) from None

    def take_role(self) -> None:
        """Act as the target's role, with fresh settings.

        Raises:
            ConnectionFailedError: the role may not be taken.
        """
        try:
            self.connection.execute(self.fresh)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as error:
            from infra.connection_failures import role_refused

            raise role_refused(self.target, server_message(error), error.sqlstate) from None

    def run(
        self, batch: str, *, about: str = "", patient: bool = False, on_commit: Callable[[], None] = _no_news
    ) -> Outcome:
        """Send statements as one message and wait for the answer; while waiting for a lock, say for whom.

        Args:
            batch: Statements; PostgreSQL takes them as one transaction unless they say otherwise.
            about: Name of the migration, for events; where it is empty, nobody looks who is in the way.
            patient: Whether it holds nobody up while it waits: then one looks seldom.
            on_commit: Called for each transaction of the batch when its commit is told.
        """
        pgconn = self.connection.pgconn
        done = committed = 0
        error: psycopg.Error | None = None
        watch = self.lookout.watch(about, patient=patient)
        try:
            self._set_reading()
            pgconn.send_query(batch.encode())
            while pgconn.flush():
                _, _, _ = select.select([pgconn.socket], [pgconn.socket], [])
                pgconn.consume_input()
            while (result := self._next_result(watch)) is not None:
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    error = errors.error_from_result(result, "utf-8")
                elif error is None:
                    done += 1
                    if result.command_status == b"COMMIT":
                        committed += 1
                        on_commit()
        except psycopg.OperationalError as problem:
            error = problem
        except KeyboardInterrupt:
            with contextlib.suppress(psycopg.Error):
                self.connection.cancel_safe(timeout=5)
            raise
        return Outcome(done, committed, error, watch.blockers, pgconn.status == pq.ConnStatus.BAD)

    def _set_reading(self) -> None:
        """Set back what a file, or RESET ALL, has set: it decides how the server reads the message to come."""
        for name, value in _READ_BY.items():
            if self.connection.info.parameter_status(name) != value:
                self.connection.execute(f"SET {name} = '{value}'".encode())

    def _next_result(self, watch: Watch) -> pq.abc.PGresult | None:
        """Wait for the answer to one statement of a batch, looking who blocks while none comes."""
        pgconn = self.connection.pgconn
        while pgconn.is_busy():
            ready, _, _ = select.select([pgconn.socket], [], [], watch.pause_s())
            if ready:
                pgconn.consume_input()
            else:
                self.lookout.look_for(watch)
        return pgconn.get_result()

    def execute(self, statement: str, *, about: str) -> None:
        """Run one statement like `run`, raising what stops it."""
        outcome = self.run(statement, about=about)
        if outcome.error:
            raise outcome.error

    def prepare_ledger(self) -> None:
        """Let the server plan the ledger's statement once; called before several files travel together."""
        if not self._prepared:
            self.connection.execute(ledger_sql.PREPARE)
            self._prepared = True

    def rollback(self) -> None:
        """Leave a failed transaction."""
        self.connection.execute("ROLLBACK")


def _connect_patiently(target: Target, report: Report, wait_s: float) -> psycopg.Connection[Any]:
    """Connect, trying again with growing pauses while the server sleeps or starts."""
    started = time.monotonic()
    pause = 0.1
    while True:
        try:
            return connect(target)
        except ConnectionFailedError as error:
            waited = time.monotonic() - started
            if error.sqlstate not in _WORTH_A_RETRY or waited + pause > wait_s:
                raise
            report(Event(kind="retrying", text=f"no answer yet from {target.label}: {error.detail}", seconds=waited))
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, 5.0)
