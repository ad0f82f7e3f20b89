"""One runner at a time per database: an advisory lock, polled, never waited in. An edge.

A session that waits in `pg_advisory_lock` holds a snapshot; CREATE INDEX CONCURRENTLY in the session that has the lock
waits for that snapshot: a deadlock, and an INVALID index. So nobody waits in the server. A lost connection releases.

Source: https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg

from infra.migrations.blockers import HOLDER, blockers_of
from infra.migrations.failures import RunnerBusyError
from infra.migrations.model import Event

# Advisory locks are per database already, so the name of the ledger is all the key needs.
KEY = int.from_bytes(hashlib.sha256(b"chatdb.ledger").digest()[:8], "big", signed=True)
POLL_S = 0.1  # mean pause between two attempts; judgement: a file takes some milliseconds
NEWS_S = 2.0  # how often the holder is named again


def acquire(connection: psycopg.Connection[Any], label: str, *, wait_s: float, report: Callable[[Event], None]) -> None:
    """Take the lock for this session, however many others want it.

    Args:
        connection: In autocommit mode.
        label: The database, for messages.
        wait_s: Time in seconds to go on trying.
        report: Told who holds the lock while it is held.

    Raises:
        RunnerBusyError: another session held it all the time; it is named.
    """
    started = time.monotonic()
    told = started - NEWS_S
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (KEY,)).fetchone()
        if row and row[0]:
            return
        now = time.monotonic()
        if now - told >= NEWS_S or now - started >= wait_s:
            told = now
            holder = blockers_of(connection, HOLDER, (KEY >> 32 & 0xFFFFFFFF, KEY & 0xFFFFFFFF))
            if now - started >= wait_s:
                raise RunnerBusyError(label, holder, now - started)
            named = "; ".join(map(str, holder)) or "a session that has just ended"
            text = f"waiting for another run: {named}"
            report(Event(kind="waiting", text=text, blockers=holder, seconds=now - started))
        time.sleep(POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
