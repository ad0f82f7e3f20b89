"""What a run may be told, and what it gives back. Pure: data and nothing else.

Filled by the resource and the command line, read by `runner`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg

from infra.migrations.model import Event, LedgerRow, Plan

Report = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Report nothing."""


class Options(NamedTuple):
    """How to run.

    Attributes:
        stack: Name of the stack, for the ledger.
        actor: Who acts, for the ledger; the login role when empty.
        tool_version: Version of this tool, for the ledger.
        production: Whether the stack is marked as production: it is not rolled back.
        production_override: Whether it is all the same.
        lock_timeout_ms: Time in milliseconds that a statement which holds others up may wait for its lock in one
            attempt. The first attempts wait much less. 2 s lies within what operators use (1 to 5 s).
        lock_budget_s: Time in seconds after which attempts to get such a lock end.
        online_lock_timeout_ms: The same as `lock_timeout_ms` for what holds nobody up: CONCURRENTLY, VALIDATE.
        statement_timeout_ms: Time in milliseconds that one statement may run; 0 for no limit.
        runner_wait_s: Time in seconds to wait for another run to end.
        connect_wait_s: Time in seconds to go on trying to connect to a server that sleeps or starts.
        reconnect_s: Time in seconds to go on trying after a connection was lost on the way.
    """

    stack: str = ""
    actor: str = ""
    tool_version: str = ""
    production: bool = False
    production_override: bool = False
    lock_timeout_ms: int = 2_000
    lock_budget_s: float = 300
    online_lock_timeout_ms: int = 1_800_000
    statement_timeout_ms: int = 0
    runner_wait_s: float = 600
    connect_wait_s: float = 0
    reconnect_s: float = 30

    def signature(self) -> dict[str, str]:
        """Return what each ledger row says of the run."""
        return {"actor": self.actor, "stack": self.stack, "tool_version": self.tool_version}


def _nothing_before(_connection: psycopg.Connection[Any], _plan: Plan) -> int | None:
    return None


def _nothing_planned(_plan: Plan) -> None:
    return None


def _nothing_to_verify(_connection: psycopg.Connection[Any], _version: int) -> None:
    return None


class Hooks(NamedTuple):
    """What the caller does at three points of a run, the last two under the lock.

    Attributes:
        planned: Called with a plan that changes something, before anything is done; raises where it must not be done.
        before: Called while the ledger is empty and before the first migration: checks prerequisites, makes stand-ins,
            looks for tables in the way. It returns a version to baseline at, or None.
        verify: Called after the last migration with the version reached; raises where the shape is not as it must be.
    """

    planned: Callable[[Plan], None] = _nothing_planned
    before: Callable[[psycopg.Connection[Any], Plan], int | None] = _nothing_before
    verify: Callable[[psycopg.Connection[Any], int], None] = _nothing_to_verify


class Status(NamedTuple):
    """Where a database stands.

    Attributes:
        rows: All rows of the ledger, oldest first.
        plan: What is applied and what is pending.
        version: Version of the database, 0 when nothing is applied.
    """

    rows: tuple[LedgerRow, ...]
    plan: Plan
    version: int


class Applied(NamedTuple):
    """What a run did.

    Attributes:
        names: Migrations that it applied, baselined or undid, in that order of doing.
        version: Version reached.
        digest: Digest over all files up to that version.
        baselined: Names among them that were recorded without being run.
    """

    names: tuple[str, ...]
    version: int
    digest: str
    baselined: tuple[str, ...] = ()
