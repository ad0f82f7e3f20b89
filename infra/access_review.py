"""Look at a product's access as it is: what an update changes, what it puts right, what it names, what the audit finds.

An edge: a handful of statements over one connection; `settle` alone changes something. Called by `access_resource`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from infra import access_record, access_sentences, effective_access
from infra.access_declared import NOTHING, Declared, Rights
from infra.access_drift import Drift
from infra.access_record import Record
from infra.audit import runner
from infra.audit.model import Report
from infra.connection import server_message
from infra.products import Product

# The mend of what does not stand at all: no statement, the program makes it.
BY_THE_PROGRAM = "chatdb up"


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
    connection: psycopg.Connection[Any], product: Product, *, former: Record, audited: bool, rotation: int | None = None
) -> Look:
    """Return how a product's access stands.

    Args:
        connection: The product's database, as the administrator.
        product: The product.
        former: What the last update declared: what is not declared any more is taken back.
        audited: Whether the audit is asked too.
        rotation: The stack's rotation, which says which logins are declared; by what stands where it is not known.
    """
    report = effective_access.report(connection, product, rotation=rotation)
    pairs = _pairs(report.declared, access_record.rights(former, report.access.major))
    held = access_sentences.held(report.access)
    repairs = tuple(one for one in report.drift if _is_ours(one, pairs))
    return Look(
        changes=tuple(access_sentences.sentences({pair: held.get(pair, NOTHING) for pair in pairs}, pairs)),
        repairs=repairs,
        drift=tuple(one for one in report.drift if one not in repairs),
        audit=runner.audit(connection, product) if audited else None,
    )


def settle(connection: psycopg.Connection[Any], repairs: Sequence[Drift]) -> dict[str, str]:
    """Mend what can be mended by a statement, and return the rest: its sentence with the reason."""
    left = {}
    for drift in repairs:
        if drift.mend in ("", BY_THE_PROGRAM):
            left[drift.sentence] = "it does not stand: refresh the stack, then update it"
            continue
        try:
            with connection.transaction():
                connection.execute(drift.mend.encode())
        except psycopg.Error as error:
            left[drift.sentence] = server_message(error)
    return left


def _pairs(declared: Declared, former: Rights) -> Rights:
    """Return what each role shall have on each object that is declared, or was: nothing where it is not any more."""
    return {**dict.fromkeys(former, NOTHING), **declared.rights}


def _is_ours(drift: Drift, pairs: Mapping[Any, Any]) -> bool:
    return drift.kind in ("undeclared", "missing") and (drift.role, drift.thing) in pairs
