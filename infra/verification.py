"""Verify that a product's live database is what its version says, fact by fact. Reads, never writes.

Called after applying (the runner's `verify` hook), by `chatdb verify`, by the resource for drift, and by baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from infra.errors import ChatdbError
from infra.migrations import comparison, snapshot
from infra.migrations.catalogue import Catalogue
from infra.migrations.comparison import Difference
from infra.products import Product
from infra.words import counted


class VerificationFailedError(ChatdbError):
    """The live database is not what its version says."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One fact that was compared.

    Attributes:
        kind: What it is about: "column type", "foreign key delete action", "index", …
        object: Name of the object, with schema and table.
        expected: What the version says; "missing" where it should not be there.
        actual: What stands in the database.
        ok: Whether they are equal.
    """

    kind: str
    object: str
    expected: str
    actual: str
    ok: bool

    def as_dict(self) -> dict[str, str | bool]:
        """Return the check for `--json`."""
        return {
            "kind": self.kind,
            "object": self.object,
            "expected": self.expected,
            "actual": self.actual,
            "ok": self.ok,
        }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What stands in the live database, read from its catalogue, for people.

    Attributes:
        tables: Names of the product's tables that stand.
        indexes: Names of their valid indexes that no constraint made.
        named_indexes: Those among them that the first migration, the product's document, names.
        foreign_keys: Names of their foreign keys, each with its delete action.
        row_security: Tables whose rows are guarded by policies, even from their owner.
    """

    tables: tuple[str, ...]
    indexes: tuple[str, ...]
    named_indexes: tuple[str, ...]
    foreign_keys: tuple[tuple[str, str], ...]
    row_security: tuple[str, ...]

    @property
    def has_foreign_key(self) -> bool:
        """Whether a foreign key stands."""
        return bool(self.foreign_keys)

    @property
    def cascades(self) -> bool:
        """Whether deleting what a foreign key points to deletes the rows."""
        return any(action == "CASCADE" for _, action in self.foreign_keys)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a verification.

    Attributes:
        product: Name of the product.
        version: Version that was compared with.
        checks: Every fact of that version, then what stands and should not.
        differences: What is off, what stands in a missing object left out.
        summary: What stands, in short.
    """

    product: str
    version: int
    checks: tuple[Check, ...]
    differences: tuple[Difference, ...]
    summary: Summary

    @property
    def ok(self) -> bool:
        """Whether everything is as the version says."""
        return not self.differences

    def require(self) -> None:
        """Return when everything is as the version says.

        Raises:
            VerificationFailedError: something is not; each difference is listed.
        """
        if self.ok:
            return
        raise VerificationFailedError(
            f"{self.product} is not what version {self.version:04d} says",
            detail="\n  ".join((counted(len(self.differences), "difference"), *map(str, self.differences))),
            hint="Undo what was changed by hand, or put the change in a new migration.",
            state=f"{len(self.checks)} facts were compared; comparing changes nothing.",
        )


def verify(connection: psycopg.Connection[Any], product: Product, version: int) -> Report:
    """Compare the live database with the snapshot of a version.

    Args:
        connection: The database, as any role that may connect: the catalogue is open to all.
        product: The product.
        version: The version it should be at; 0 for a database in which nothing of the product stands.

    Raises:
        SnapshotMissingError: the version has no snapshot.
    """
    expected = snapshot.load(product, version)
    live = snapshot.read_live(connection, product)
    if version == 0:
        # A stack makes the product's schema before the first migration: alone, it is no object of ours.
        live["schema"] = expected["schema"]
    named = snapshot.load(product, 1) if version else expected
    found = comparison.differences(expected, live)
    return Report(
        product=product.name,
        version=version,
        checks=_checks(expected, live, found),
        differences=tuple(found),
        summary=_summary(live, _plain_indexes(named)),
    )


def _checks(expected: Catalogue, live: Catalogue, found: Sequence[Difference]) -> tuple[Check, ...]:
    """Return a check for each expected fact, then one for each thing that stands and should not."""
    values = {fact.key: fact.value for fact in comparison.facts(live)}
    checks: list[Check] = []
    wanted = set()
    for fact in comparison.facts(expected):
        wanted.add(fact.key)
        actual = values.get(fact.key, comparison.NONE if fact.attribute else comparison.MISSING)
        checks.append(_check(*fact.key, fact.value, actual))
    extra = [difference for difference in found if difference.key not in wanted]
    checks.extend(_check(*difference.key, difference.expected, difference.actual) for difference in extra)
    return tuple(checks)


def _check(kind: str, name: str, attribute: str, expected: str, actual: str) -> Check:
    return Check(
        kind=f"{kind} {attribute}".strip(), object=name, expected=expected, actual=actual, ok=expected == actual
    )


def _summary(live: Catalogue, named: set[str]) -> Summary:
    tables = live["tables"]
    valid = _plain_indexes(live)
    keys = [
        (name, body["on_delete"])
        for table in tables.values()
        for name, body in table["constraints"].items()
        if body["kind"] == "foreign key"
    ]
    return Summary(
        tables=tuple(tables),
        indexes=tuple(sorted(valid)),
        named_indexes=tuple(sorted(valid & named)),
        foreign_keys=tuple(keys),
        row_security=tuple(name for name, table in tables.items() if table["row_security_forced"]),
    )


def _plain_indexes(catalogue: Catalogue) -> set[str]:
    """Return the names of the valid indexes that no constraint made."""
    return {
        name
        for table in catalogue["tables"].values()
        for name, body in table["indexes"].items()
        if body["valid"] and name not in table["constraints"]
    }
