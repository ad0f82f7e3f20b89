"""Take a backup: dump in a snapshot, read what it must hold, restore and compare, then publish. The shell.

Called by the commands `backup`, `destroy`, `up` and `rollback`. Nothing that looks like a backup is there before it is
proven; whatever ends this early leaves the database as it was.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from infra.backup import contents, programs, reading, restoring
from infra.backup.errors import NOTHING_LEFT, BackupError
from infra.backup.manifest import Contents, Manifest
from infra.backup.store import Store
from infra.connection import Target
from infra.version import VERSION

PIECE = 1 << 20
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ScratchServer:
    """Where a dump is restored to be proven.

    Attributes:
        administrator: Login that may make databases there.
        where: What it is, for the manifest.
        has_roles: Whether the roles that the dump names stand there already.
    """

    administrator: Target
    where: str
    has_roles: bool


Scratch = Callable[[str], AbstractContextManager[ScratchServer]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is backed up.

    Attributes:
        target: Who reads the database: a login that sees every row, or the owner.
        product: Name of the product.
        stack: The stack; empty without one.
    """

    target: Target
    product: str
    stack: str


def take(
    source: Source, store: Store, *, folders: list[Path], scratch: Scratch, report: Report = lambda _line: None
) -> tuple[Manifest, str]:
    """Take a backup and return its manifest and its place.

    Args:
        source: What is backed up.
        store: Where it is kept.
        folders: Where pg_dump and pg_restore may be, before PATH is searched.
        scratch: Gives the server to prove it on, for a database of that owner.
        report: Told each step.

    Raises:
        StoreError: the place cannot be written to.
        BackupError, NotProvenError: it cannot be made, or is not what was in the database.
    """
    store.check()
    product, target = source.product, source.target
    moment = datetime.now(UTC)
    name = f"{moment:%Y-%m-%dT%H%M%SZ}-{secrets.token_hex(4)}"
    with store.begin(stack=source.stack, product=product, name=name) as draft:
        with reading.whole(target) as session:
            info = session.connection.info
            tools = programs.find(info.server_version // 10_000, folders)
            server_version = info.parameter_status("server_version") or ""
            report(f"dumping {target.label}")
            reached = contents.sequences(session.connection)  # no snapshot holds them back: the dump's are no lower
            size, sha256 = _dump(target, session.snapshot, tools, draft.file)
            found = replace(contents.read(session.connection), sequences=reached)
            owner = contents.owner_of(session.connection)
        report(f"restoring {size:,} bytes to prove {found.total:,} rows of {len(found.rows)} tables")
        where = _prove(draft.file, sha256, found, owner, product, folders=folders, scratch=scratch)
        manifest = Manifest(
            name=name,
            product=product,
            stack=source.stack,
            database=target.database,
            server=f"{target.host}:{target.port}",
            server_version=server_version,
            owner=owner,
            tool=tools.version,
            tool_version=VERSION,
            taken_at=moment.isoformat(timespec="seconds"),
            proven_at=datetime.now(UTC).isoformat(timespec="seconds"),
            proven_on=where,
            bytes=size,
            sha256=sha256,
            contents=found,
        )
        place = draft.publish(manifest)
    report(f"proven: {place}")
    return manifest, place


def _prove(
    archive: Path, sha256: str, found: Contents, owner: str, product: str, *, folders: list[Path], scratch: Scratch
) -> str:
    with scratch(owner) as server:
        if not server.has_roles:
            restoring.make_roles(server.administrator, sorted({*found.roles, owner}))
        what = f"the backup of {product}"
        restoring.prove(archive, sha256, found, server.administrator, owner=owner, folders=folders, what=what)
        return server.where


def _dump(target: Target, snapshot: str, tools: programs.Programs, file: Path) -> tuple[int, str]:
    """Write the dump and return its size in bytes and its SHA-256; where this process dies, so does pg_dump."""
    wait = f"--lock-wait-timeout={programs.LOCK_WAIT_MS}"
    command = [str(tools.dump), "--format=custom", f"--snapshot={snapshot}", wait]
    digest, size = hashlib.sha256(), 0
    with programs.running(command, target, reading=True) as process:
        if process.popen.stdout is not None:
            with file.open("wb") as out:
                while piece := process.popen.stdout.read(PIECE):
                    out.write(piece)
                    digest.update(piece)
                    size += len(piece)
        errors = process.errors()
    if errors:
        raise BackupError(
            f"{target.label} cannot be dumped",
            detail="\n  ".join(errors[:10]),
            hint=_hint(" ".join(errors), target),
            state=NOTHING_LEFT,
        )
    return size, digest.hexdigest()


def _hint(words: str, target: Target) -> str:
    """Return what to do about pg_dump's common errors."""
    who = target.role or target.user
    if "permission denied" in words or "lack SELECT privilege" in words:
        return f"Let {who} read it (GRANT SELECT), or connect as a superuser or a role with pg_read_all_data."
    if "row-level security" in words:
        return f"Connect as a superuser or a role with BYPASSRLS: {who} would not see every row."
    if "lock timeout" in words or "could not obtain lock" in words:
        return "Another session holds a table: let it end, then run the same command again."
    if "connection" in words:
        return "The connection was lost: run the same command again."
    return "Mend what it names, then run the same command again."
