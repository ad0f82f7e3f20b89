"""Look at a product's access as it is: what an update changes, what it puts right, what it names, what the audit finds.

An edge: a handful of statements over one connection; `settle` alone changes something. Called by `access_resource`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from infra.access import reading, sentences
from infra.access.declared import NOTHING, Declared, Rights
from infra.access.drift import Drift
from infra.access.matrix import Thing
from infra.access.record import Record, rights
from infra.audit import runner
from infra.audit.model import Report
from infra.connection import server_message
from infra.naming import RoleNames
from infra.products import Product

# The mend of what does not stand at all: no statement, the program makes it.
BY_THE_PROGRAM = "chatdb up"
# Warnings: privilege not revoked, privilege not granted.
NO_EFFECT = ("01006", "01007")
# As server_version_num: before, initdb gave that schema to the first superuser, later to pg_database_owner.
PUBLIC_IS_THE_OWNERS_SINCE = 150_000


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen.

    Attributes:
        changes: What an update changes for whom, in words.
        repairs: Rights on what the program declares that are not as declared: an update puts them right.
        drift: What else is not declared, whoever granted it: an update names it and leaves it.
        audit: What the audit found; None where it was not asked.
    """

    changes: tuple[str, ...]
    repairs: tuple[Drift, ...]
    drift: tuple[Drift, ...]
    audit: Report | None


def look(
    connection: psycopg.Connection[Any],
    product: Product,
    names: RoleNames,
    *,
    former: Record,
    audited: bool,
    rotation: int | None = None,
) -> Look:
    """Return how a product's access stands.

    Args:
        connection: The product's database, as the administrator.
        product: The product.
        names: Its roles.
        former: What the last update declared: what is not declared any more is taken back.
        audited: Whether the audit is asked too.
        rotation: The stack's rotation, which says which logins are declared; by what stands where it is not known.
    """
    report = reading.report(connection, product, names=names, rotation=rotation)
    pairs = _pairs(report.declared, rights(former, report.access.major))
    held = sentences.held(report.access)
    repairs = tuple(one for one in report.drift if _is_ours(one, pairs))
    return Look(
        changes=tuple(sentences.sentences({pair: held.get(pair, NOTHING) for pair in pairs}, pairs)),
        repairs=repairs,
        drift=tuple(one for one in report.drift if one not in repairs),
        audit=runner.audit(connection, product, names=names) if audited else None,
    )


def settle(connection: psycopg.Connection[Any], repairs: Sequence[Drift]) -> dict[str, str]:
    """Mend what can be mended by a statement, and return the rest: its sentence with the reason."""
    left = {}
    for drift in repairs:
        if drift.mend in ("", BY_THE_PROGRAM):
            left[drift.sentence] = "it does not stand: refresh the stack, then update it"
            continue
        try:
            with _without_effect(connection) as said, connection.transaction():
                connection.execute(drift.mend.encode())
        except psycopg.Error as error:
            left[drift.sentence] = server_message(error)
        else:
            if said:
                left[drift.sentence] = f"{said[0]}: {_whose(connection, drift.thing)}"
    return left


@contextlib.contextmanager
def _without_effect(connection: psycopg.Connection[Any]) -> Iterator[list[str]]:
    """Collect the warnings that a GRANT or REVOKE did nothing: from who may not, PostgreSQL takes it as no error."""
    said: list[str] = []

    def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.sqlstate in NO_EFFECT:
            said.append(diagnostic.message_primary or "")

    connection.add_notice_handler(hear)
    try:
        yield said
    finally:
        connection.remove_notice_handler(hear)


def _whose(connection: psycopg.Connection[Any], thing: Thing) -> str:
    """Say who may mend what this administrator may not."""
    owner, info, why = thing.owner, connection.info, ""
    if thing.name == "public" and thing.kind == "schema" and info.server_version < PUBLIC_IS_THE_OWNERS_SINCE:
        why = ", as the schema public of every database does before PostgreSQL 15"
    return (
        f"{thing.label} belongs to {owner}{why}, and {info.user} may not act as {owner}; "
        f"run the mend in {info.dbname} as {owner} or a superuser"
    )


def _pairs(declared: Declared, former: Rights) -> Rights:
    """Return what each role shall have on each object that is declared, or was: nothing where it is not any more."""
    return {**dict.fromkeys(former, NOTHING), **declared.rights}


def _is_ours(drift: Drift, pairs: Mapping[Any, Any]) -> bool:
    return drift.kind in ("undeclared", "missing") and (drift.role, drift.thing) in pairs
