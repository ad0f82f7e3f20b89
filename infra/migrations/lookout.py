"""Look over a second connection who stands in the way of the first, tell it, and wait for them to end. An edge.

Called by `session` while a statement has not answered, and by `online` and `transactional` between two attempts at one.
"""

from __future__ import annotations

import random
import time
from typing import Any

import psycopg

from infra.connection import Target, connect
from infra.errors import ConnectionFailedError
from infra.migrations import pooling
from infra.migrations.blockers import BLOCKING, STILL_THERE, blockers_of, hidden_of
from infra.migrations.model import Blocker, Event
from infra.migrations.options import Report

LOOK_AFTER_S = 0.05  # a statement that has not answered by then may be waiting for a lock
LOOK_SOON_S = 0.005  # the same once the second connection stands: to look costs little then
LOOK_EVERY_S = 0.25
LOOK_PATIENTLY_S = 1.0  # both, where nobody is held up meanwhile: writers feel each look (`bench.online`)
NEWS_EVERY_S = 2.0


class Watch:
    """When a batch was sent, and when to look and to tell who is in its way.

    Attributes:
        about: Name of the migration, for events; where it is empty, nobody looks.
        blockers: Who was in its way last.
    """

    def __init__(self, about: str, look_after_s: float, look_every_s: float) -> None:
        self.about = about
        self.started = time.monotonic()
        self.look_every_s = look_every_s
        self.next_look = self.started + look_after_s
        self.next_news = self.started
        self.blockers: tuple[Blocker, ...] = ()

    def pause_s(self) -> float | None:
        """Return how long to wait before one looks; None for ever."""
        return max(0.0, self.next_look - time.monotonic()) if self.about else None


class Lookout:
    """A second connection, made once something takes long.

    Args:
        target: Where; it is made as the login itself, whatever role the first one acts as.
        connection: The first one.
        pid: The process id that the first one has on the server.
        report: Told who is in the way.
    """

    def __init__(self, target: Target, connection: psycopg.Connection[Any], pid: int, report: Report) -> None:
        self._target = target
        self._connection = connection
        self._pid = pid
        self._report = report
        self._monitor: psycopg.Connection[Any] | None = None
        self._blind = False  # a pooler has no second session to give, so nobody looks

    def close(self) -> None:
        """Close the second connection."""
        if self._monitor is not None:
            self._monitor.close()

    def watch(self, about: str, *, patient: bool) -> Watch:
        """Begin to watch a batch; as `Session.run` has it."""
        if patient:
            return Watch(about, LOOK_PATIENTLY_S, LOOK_PATIENTLY_S)
        return Watch(about, LOOK_SOON_S if self._monitor else LOOK_AFTER_S, LOOK_EVERY_S)

    def look_for(self, watch: Watch) -> None:
        """Look who is in the way of a batch, and tell it where that is news."""
        watch.blockers = self._look() or watch.blockers
        now = time.monotonic()
        watch.next_look = now + watch.look_every_s
        if watch.blockers and now >= watch.next_news:
            watch.next_news = now + NEWS_EVERY_S
            self._tell(watch.about, watch.blockers, now - watch.started)

    def wait_out(self, blockers: tuple[Blocker, ...], *, about: str, until: float) -> bool:
        """Wait, without queueing for anything, while the transactions of these sessions last; return whether they did.

        Args:
            blockers: The sessions, as they were seen; where none were, the next look is made ready to come sooner.
            about: Name of the migration, for events.
            until: When to give up, on the monotonic clock.
        """
        if not blockers:
            self._look()
            return False
        started = time.monotonic()
        told = started - NEWS_EVERY_S
        waited = 0.0
        ages = {blocker.pid: blocker.age_s for blocker in blockers}
        names = [blocker.application for blocker in blockers]
        hidden = hidden_of(self._connection, ages)
        while ages and time.monotonic() < until:
            there = blockers_of(self._connection, STILL_THERE, {"pids": list(ages), "names": names})
            # A younger transaction in the same session is another one: the one that blocked has ended.
            same = tuple(blocker for blocker in there if blocker.age_s >= ages[blocker.pid] + waited / 2)
            if hidden:
                hidden &= hidden_of(self._connection, ages)
                same += tuple(blocker for blocker in blockers if blocker.pid in dict(hidden))
            if not same:
                break
            if time.monotonic() - told >= NEWS_EVERY_S:
                told = time.monotonic()
                self._tell(about, same, waited)
            pause = 0.5 if hidden else 0.1  # to look at locks is felt by the writers
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            waited = time.monotonic() - started
        return waited > 0

    def _tell(self, about: str, blockers: tuple[Blocker, ...], waited_s: float) -> None:
        text = f"{about} waits for {'; '.join(map(str, blockers))}"
        self._report(Event(kind="waiting", text=text, migration=about, blockers=blockers, seconds=waited_s))

    def _look(self) -> tuple[Blocker, ...]:
        """Return who blocks us now; nobody where that cannot be found out."""
        if self._blind:
            return ()
        try:
            if self._monitor is None or self._monitor.closed:
                self._monitor = connect(self._target.to(role="", application_name="chatdb monitor"))
                pooling.ask(self._monitor, "SET statement_timeout = '5s'")
                if not pooling.answered(self._monitor, within_s=pooling.PATIENCE_S):
                    self._blind = True
                    self._monitor.close()
                    return ()
            return blockers_of(self._monitor, BLOCKING, (self._pid,))
        except (psycopg.Error, ConnectionFailedError):
            return ()  # to look is a courtesy: no connection to spare must not stop a migration
