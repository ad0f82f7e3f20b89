"""Decide which migrations to apply or to undo. Pure: takes data, returns data.

Called by `runner`, by the Pulumi resource's `check` and by the command line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC

from infra.migrations.errors import (
    BrokenLedgerError,
    EditedHalfwayError,
    EditedMigrationError,
    HalfRolledBackError,
    LateMigrationError,
    LineEndsError,
    MigrationError,
    MissingFileError,
    NewerLedgerError,
    NoSuchVersionError,
    NoWayDownError,
    NumberingGapError,
    OtherMigrationsError,
    RenamedMigrationError,
)
from infra.migrations.filename import checksum_of, duplicates, has_code, raise_all
from infra.migrations.model import LedgerRow, Migration, Plan


def plan(
    migrations: Sequence[Migration], rows: Sequence[LedgerRow], *, to: int | None = None, chained: bool = True
) -> Plan:
    """Return what is applied and what is to be applied.

    Args:
        migrations: All files, lowest version first.
        rows: All rows of the ledger, lowest sequence first.
        to: Version to stop at; the newest when None.
        chained: Whether `rows` is the whole chain, to be followed; False for the newest row of each version alone.

    Raises:
        MigrationError: the files and the ledger do not fit; its class says how.
        SeveralMistakesError: they do not fit in several ways.
    """
    if chained:
        check_chain(rows)
    standing = _standing(rows)
    mistakes = _misfits(migrations, standing)
    half = next((row for row in standing.values() if row.finished_at is None), None)
    if half and half.direction == "down":
        mistakes.append(_half_done(half))
    applied = tuple(m for m in migrations if m.version in standing and standing[m.version] is not half)
    version = applied[-1].version if applied else 0
    newest = migrations[-1].version if migrations else 0
    target = newest if to is None else to
    waiting = [m for m in migrations if m.version not in standing or standing[m.version] is half]
    pending = tuple(migration for migration in waiting if version < migration.version <= target)
    if pending:
        mistakes.extend(_refused(pending, "up"))
    raise_all(mistakes)
    if target < version:
        reason = f"the database is at {version:04d} already"
        raise NoSuchVersionError(target, reason, f"To step back, run `chatdb rollback --to {target:04d}`.")
    if target > newest:
        raise NoSuchVersionError(target, f"the newest file is {newest:04d}", "Name a version that has a file.")
    return Plan(applied=applied, pending=pending, resumed=half, version=version, target=target)


def plan_back(migrations: Sequence[Migration], rows: Sequence[LedgerRow], *, to: int) -> Plan:
    """Return what is to be undone to come back to a version: `pending` holds it, newest first.

    Args:
        migrations: All files, lowest version first.
        rows: All rows of the ledger, lowest sequence first.
        to: Version to come back to; 0 for the state before the first.

    Raises:
        MigrationError: the files and the ledger do not fit, or there is no way back; its class says how.
    """
    check_chain(rows)
    standing = _standing(rows)
    mistakes = _misfits(migrations, standing)
    half = next((row for row in standing.values() if row.finished_at is None), None)
    applied = tuple(migration for migration in migrations if migration.version in standing)
    version = applied[-1].version if applied else 0
    if not 0 <= to <= version:
        raise NoSuchVersionError(to, f"the database is at {version:04d}", "Name a version at or below it.")
    if half and half.version == to:
        mistakes.append(_half_done(half))
    pending = tuple(migration for migration in reversed(applied) if migration.version > to)
    for migration in pending:
        if not has_code(migration.down):
            mistakes.append(NoWayDownError(migration.name))
    mistakes.extend(_refused(pending, "down"))
    raise_all(mistakes)
    kept = tuple(migration for migration in applied if migration.version <= to)
    return Plan(applied=kept, pending=pending, resumed=half, version=version, target=to)


def digest(migrations: Sequence[Migration | LedgerRow]) -> str:
    """Return `sha256:` and the digest over the names and checksums, in their order: what a release is known by."""
    lines = "".join(f"{migration.name} {migration.checksum}\n" for migration in migrations)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def digests(migrations: Sequence[Migration]) -> dict[str, str]:
    """Return for each version, as people read it, the digest of the files up to it: what `digest` gives for those."""
    so_far, found = hashlib.sha256(), {}
    for migration in migrations:
        so_far.update(f"{migration.name} {migration.checksum}\n".encode())
        found[migration.label] = f"sha256:{so_far.hexdigest()}"
    return found


def check_chain(rows: Sequence[LedgerRow]) -> None:
    """Follow the chained hashes.

    Raises:
        BrokenLedgerError: a row was edited, removed, reordered or forged; it names the first.
    """
    previous = 0
    for row in rows:
        if row.sequence == previous + 1 and row.chained_hash == row.expected_hash and row.direction != "removed":
            previous = row.sequence
            continue
        named = f"row {row.sequence} ({row.direction} {row.name})"
        if row.direction == "removed":
            raise BrokenLedgerError(f"row {row.sequence}", "chatdb.head knows it as the newest; it was removed")
        if row.sequence > previous + 1:
            gone = (
                f"row {previous + 1}" if row.sequence == previous + 2 else f"rows {previous + 1} to {row.sequence - 1}"
            )
            raise BrokenLedgerError(gone, f"removed or renumbered: {named} follows row {previous}")
        reason = "its hash does not follow from the row before it and its own fields: it was edited, moved or forged"
        raise BrokenLedgerError(named, reason)
    for row in rows[:-1]:
        if row.finished_at is None:
            raise BrokenLedgerError(
                f"row {row.sequence} ({row.direction} {row.name})", "it is unfinished, yet rows follow"
            )


def _standing(rows: Sequence[LedgerRow]) -> dict[int, LedgerRow]:
    """Return the row that stands for each version which is applied, wholly or half."""
    standing: dict[int, LedgerRow] = {}
    for row in rows:
        if row.direction == "down" and row.finished_at is not None:
            standing.pop(row.version, None)
        else:
            standing[row.version] = row
    return standing


def _misfits(migrations: Sequence[Migration], standing: dict[int, LedgerRow]) -> list[MigrationError]:
    """Return every way in which the files and the ledger do not fit."""
    mistakes: list[MigrationError] = list(duplicates(list(migrations)))
    files = {migration.version: migration for migration in migrations}
    both = sorted(standing.keys() & files.keys())
    shared = [(standing[version], files[version]) for version in both if standing[version].finished_at is not None]
    if shared and all(row.checksum != file.checksum for row, file in shared):
        first, begins = shared[0]
        if first.name != begins.name:
            return [*mistakes, OtherMigrationsError(first.name, begins.name)]
    newest = max(files, default=0)
    newest_applied = max((version for version, row in standing.items() if row.finished_at is not None), default=0)
    free = max(newest, *standing, 0) + 1 if standing else newest + 1
    if gap := _gaps(sorted({*files, *standing}), newest):
        mistakes.append(NumberingGapError(gap, files[newest].name))
    ahead = [row.name for version, row in sorted(standing.items()) if version > newest]
    if ahead:
        mistakes.append(NewerLedgerError(ahead, files[newest].name if files else "none"))
    for version, row in sorted(standing.items()):
        file = files.get(version)
        if file is None:
            if version < newest:
                mistakes.append(MissingFileError(row.name))
        elif file.checksum != row.checksum:
            mistakes.extend(_edited(file, row, free))
        elif file.name != row.name:
            mistakes.append(RenamedMigrationError(file.name, row.name))
    mistakes.extend(
        LateMigrationError(migration.name, _name_of(files, standing, newest_applied), free)
        for migration in migrations
        if migration.version not in standing and migration.version < newest_applied
    )
    return mistakes


def _half_done(row: LedgerRow) -> MigrationError:
    """Return the mistake of asking for something else than an end of what is half done."""
    if row.direction == "down":
        return HalfRolledBackError(row.name, row.version, row.statements_done, row.statements_total)
    reason = f"{row.name} is half applied: {row.statements_done} of {row.statements_total} statements"
    hint = f"Finish it: `chatdb apply`; or undo it: `chatdb rollback --to {row.version - 1:04d}`."
    return NoSuchVersionError(row.version, reason, hint)


def _refused(migrations: Sequence[Migration], direction: str) -> list[MigrationError]:
    """Return what in these sections cannot be run."""
    from infra.migrations import statements  # not loaded where nothing is pending

    return [mistake for migration in migrations for mistake in statements.check(migration, direction)]


def _gaps(known: list[int], newest: int) -> list[range]:
    """Return the runs of versions below the newest file that neither a file nor the ledger knows."""
    gaps = []
    previous = 0
    for version in known:
        if version > previous + 1 and version <= newest:
            gaps.append(range(previous + 1, version))
        previous = version
    return gaps


def _name_of(files: dict[int, Migration], standing: dict[int, LedgerRow], version: int) -> str:
    """Return the name of a version, from its file or else from the ledger."""
    return files[version].name if version in files else standing[version].name


def _edited(file: Migration, row: LedgerRow, free: int) -> list[MigrationError]:
    """Return the mistake in a changed file; none where it is half done and only the undone part changed."""
    if row.finished_at is not None:
        when = f" on {row.finished_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        lines = file.text.replace("\r\n", "\n")
        if row.checksum in (checksum_of(lines), checksum_of(lines.replace("\n", "\r\n"))):
            return [LineEndsError(file.name, when, now="CR LF" if "\r\n" in file.text else "LF")]
        return [EditedMigrationError(file.name, short(row.checksum), when, short(file.checksum), free)]
    from infra.migrations import statements

    try:
        parts = statements.split(file, row.direction)
    except MigrationError as mistake:
        return [mistake]
    if statements.digest(parts, row.statements_done) == row.statements_digest and row.statements_done <= len(parts):
        return []
    return [EditedHalfwayError(file.name, row.statements_done, row.statements_total, row.direction)]


def short(checksum: str) -> str:
    """Return a checksum as people compare it: its first twelve digits."""
    return checksum[:19] + "…"
