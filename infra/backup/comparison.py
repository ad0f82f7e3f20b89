"""Compare what was in two databases. Pure: takes what `contents` reads and manifests hold, returns sentences.

Called by `restoring`, with a source and what was restored from its dump, and by `infra.teardown`, with a manifest and
the database as it is now.
"""

from __future__ import annotations

from infra.backup.manifest import OWNS, Contents, Right
from infra.migrations import comparison
from infra.words import counted


def differences(expected: Contents, actual: Contents) -> list[str]:
    """Return every way in which a database differs from what it must hold: rows, sequences, shape, rights, ledger."""
    return [
        *row_differences(expected, actual),
        *_sequences(expected, actual),
        *_shape(expected, actual),
        *_access(expected, actual),
    ]


def row_differences(expected: Contents, actual: Contents) -> list[str]:
    """Return the tables whose rows differ, and whether the ledger does."""
    found = []
    for table in sorted({*expected.rows, *actual.rows}):
        before, now = expected.rows.get(table), actual.rows.get(table)
        if before != now:
            found.append(f"{table} has {_rows(now)}, expected {_rows(before)}")
        elif expected.sums.get(table) != actual.sums.get(table):
            found.append(f"{table} has {_rows(now)} as expected, but not the same ones")
    if expected.ledger_hash != actual.ledger_hash or expected.ledger_rows != actual.ledger_rows:
        found.append(f"the ledger is at {actual.version}, expected that of {expected.version}")
    elif expected.ledger_sound and not actual.ledger_sound:
        found.append("the ledger's chain is broken")
    return found


def _sequences(expected: Contents, actual: Contents) -> list[str]:
    """Return the sequences that would give a number again; one that is missing, the shape says."""
    return [
        f"the sequence {name} is at {abs(actual.sequences[name]) if name in actual.sequences else 'its start'}, "
        f"expected {abs(reached)} at least"
        for name, reached in sorted(expected.sequences.items())
        if actual.sequences.get(name, reached - 1) < reached
    ]


def _shape(expected: Contents, actual: Contents) -> list[str]:
    found = []
    for schema in sorted({*expected.catalogue, *actual.catalogue}):
        if schema not in actual.catalogue:
            found.append(f"schema {schema} is missing")
        elif schema not in expected.catalogue:
            found.append(f"schema {schema} is not expected")
        else:
            pair = (expected.catalogue[schema], actual.catalogue[schema])
            found += [difference.sentence for difference in comparison.differences(*pair)]
    return found


def _access(expected: Contents, actual: Contents) -> list[str]:
    before, now = set(expected.access), set(actual.access)
    lost = [f"lost: {_right(right)}" for right in sorted(before - now)]
    return lost + [f"not expected: {_right(right)}" for right in sorted(now - before)]


def _right(right: Right) -> str:
    role, what, on = right
    return f"{role} owns {on}" if what == OWNS else f"{what} on {on} for {role}"


def _rows(count: int | None) -> str:
    return "no table" if count is None else counted(count, "row")
