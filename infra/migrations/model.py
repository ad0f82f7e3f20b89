"""The nouns of the migration engine: migration, ledger row, plan, event. Pure: data and nothing else.

They are named tuples: a dataclass takes ten times as long to define, and with nothing to do that is felt.
Read by every module of this package, by the resource and by the command line.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

Direction = Literal["up", "down", "baseline"]


class Migration(NamedTuple):
    """One file. A tuple, because a run may read thousands of them to find that nothing is to be done.

    Attributes:
        version: Its number, 1 and up.
        name: File name without `.sql`.
        text: The whole file.
        up: What stands between `-- migrate:up` and `-- migrate:down`.
        down: What stands after `-- migrate:down`.
        transactional: Whether the up section runs as one transaction.
        checksum: `sha256:` and the hex digest of the file's bytes.
        down_transactional: The same as `transactional` for the down section.
        up_line: Line of the file on which the up section's text begins, counted from 1.
        down_line: The same for the down section.
    """

    version: int
    name: str
    text: str
    up: str
    down: str
    transactional: bool
    checksum: str
    down_transactional: bool = True
    up_line: int = 1
    down_line: int = 1

    @property
    def label(self) -> str:
        """The version as people read it: `0001`."""
        return f"{self.version:04d}"


class LedgerRow(NamedTuple):
    """One row of `chatdb.ledger`.

    Attributes:
        sequence: 1 and up, without a gap.
        version: The migration's version.
        name: Its name when it ran.
        checksum: Its checksum when it ran.
        direction: "up", "down" or "baseline"; "removed" stands for a row that is gone although the head knows it.
        statements_begun: Statements of a non-transactional section that were begun; a transaction counts as one.
        statements_done: Statements that are done.
        statements_total: Statements the section has.
        statements_digest: Hex SHA-256 over the statements that are done; empty for a transactional section.
        started_at: When it began.
        finished_at: When it was done; None while it is not.
        actor: Role that logged in, or who was named as acting.
        stack: The stack it ran for; empty without one.
        tool_version: Version of this tool.
        error: What the last attempt failed with; empty when it is done.
        chained_hash: Hex SHA-256 over the hash of the row before and this row's own fields; empty until it is done.
        expected_hash: What `chained_hash` must be, computed by the server while reading.
    """

    sequence: int
    version: int
    name: str
    checksum: str
    direction: str
    statements_begun: int = 1
    statements_done: int = 1
    statements_total: int = 1
    statements_digest: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    actor: str = ""
    stack: str = ""
    tool_version: str = ""
    error: str = ""
    chained_hash: str = ""
    expected_hash: str = ""

    @property
    def label(self) -> str:
        """The version as people read it."""
        return f"{self.version:04d}"


class Plan(NamedTuple):
    """What the ledger and the files together say.

    Attributes:
        applied: Migrations that are applied, lowest first.
        pending: Migrations that are not, lowest first, up to the version asked for; one that is half done is the first.
        resumed: The unfinished row of the first pending migration, where it is half done.
        version: Version of the database now, 0 when empty.
        target: Version after the plan.
    """

    applied: tuple[Migration, ...] = ()
    pending: tuple[Migration, ...] = ()
    resumed: LedgerRow | None = None
    version: int = 0
    target: int = 0


class Blocker(NamedTuple):
    """A session, or a prepared transaction, that holds what we wait for.

    Attributes:
        pid: Its process id on the server; 0 for a prepared transaction, which has none.
        user: Its role.
        application: Its application_name; a prepared transaction's gid.
        age_s: Age of its transaction in seconds (of its session where it has none).
        state: As in pg_stat_activity: "active", "idle in transaction"; "prepared"; "hidden" where it may not be seen.
        query: Its latest statement, shortened, literals masked.
    """

    pid: int
    user: str
    application: str
    age_s: float
    state: str
    query: str

    def __str__(self) -> str:
        if not self.pid:
            gid = self.application.replace("'", "''")
            ends = f"only COMMIT PREPARED '{gid}' or ROLLBACK PREPARED '{gid}' ends it"
            return f"a prepared transaction of {self.user}, {self.age_s:.0f} s old: {ends}"
        application = f" ({self.application})" if self.application else ""
        if self.state == "hidden":
            return f"pid {self.pid}, {self.user}{application}, whose statement only pg_read_all_stats may see"
        return f"pid {self.pid}, {self.user}{application}, {self.state} for {self.age_s:.0f} s: {self.query}"


EventKind = Literal[
    "loaded",
    "connecting",
    "connected",
    "waiting",
    "retrying",
    "recovering",
    "executing",
    "applied",
    "rolled back",
    "baselined",
    "verifying",
    "verified",
    "closed",
    "untraced",
]


class Event(NamedTuple):
    """A step that was just begun or made, for progress.

    Attributes:
        kind: What happens.
        text: The same as a sentence for people, without secrets.
        migration: Name of the migration it is about; empty where it is about none.
        statement: Number of the statement, from 1; 0 where it is about the whole.
        statements: How many there are.
        blockers: The sessions that are waited for.
        seconds: How long it took or has been waited, in seconds.
    """

    kind: EventKind
    text: str
    migration: str = ""
    statement: int = 0
    statements: int = 0
    blockers: tuple[Blocker, ...] = ()
    seconds: float = 0.0
