"""Look whether a source stack is as it released, before anything is taken from it. Called by `cli.promote`.

The release says what was verified; since then someone may have migrated by hand, or changed what stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from cli.console import err
from cli.context import require_running
from cli.targets import from_outputs
from infra import products, verification
from infra.connection import connect
from infra.errors import ChatdbError
from infra.migrations import directory, ledger, planner


class NotProvenError(ChatdbError):
    """The source stack is not what it released."""


def require(source: str, outputs: Mapping[str, Any], names: Sequence[str]) -> None:
    """Pass where each product of the source stands as it was released.

    Args:
        source: Name of the stack.
        outputs: Its outputs, secrets in plain.
        names: The products to look at; what it has not released is passed over.

    Raises:
        NotProvenError: a ledger has moved on or was changed, or a database is not what its version says.
        ConnectionFailedError: a database is not reached.
    """
    require_running(source)
    released = {name: fact for name, fact in (outputs.get("release") or {}).items() if name in names and fact}
    found = {}
    for name, release in sorted(released.items()):
        newest = directory.read(products.load(name).migrations_folder)[-1].version
        # What a version looks like that these files do not have stands with its own: then its ledger alone is read.
        ahead = int(release["version"]) > newest
        with connect(from_outputs(outputs, source, name, "migrator")) as connection:
            found[name] = _moved(connection, release) or ("" if ahead else _drift(connection, name, release))
        if not found[name]:
            how = "is ahead of these files, its ledger is" if ahead else "is"
            err.print(f"{name} on {source} {how} as released: {release['version']}")
    problems = "".join(f"\n  {name}: {problem}" for name, problem in found.items() if problem)
    if problems:
        raise NotProvenError(
            f"stack {source} is not as it was released",
            detail=problems,
            hint=f"Mend it (chatdb verify --stack {source} shows all), release it again (chatdb up --stack {source}), "
            "then promote.",
            state="Nothing was changed.",
        )


def _moved(connection: psycopg.Connection[Any], release: Mapping[str, Any]) -> str:
    """Return how a ledger has moved on since the release; empty where it has not.

    Raises:
        BrokenLedgerError: it was changed by hand.
    """
    rows = ledger.read(connection)
    planner.check_chain(rows)
    if not rows or rows[-1].chained_hash != release["ledgerHash"]:
        done = f"{rows[-1].direction} {rows[-1].name}" if rows else "nothing"
        return f"released at {release['version']}, and since then its ledger has come to: {done}"
    return ""


def _drift(connection: psycopg.Connection[Any], name: str, release: Mapping[str, Any]) -> str:
    """Return how a database differs from what its version says; empty where it does not."""
    report = verification.verify(connection, products.load(name), int(release["version"]))
    return "; ".join(difference.sentence for difference in report.differences)
