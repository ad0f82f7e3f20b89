"""Say in words what changes for whom, given who has which rights before and after. Pure.

For previews: `before` is what stands (`held`), `after` what an update would leave (`after_up`), or what is declared.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from infra.access.declared import NOTHING, Declared, Rights
from infra.access.drift import words
from infra.access.matrix import DATABASE_OWNER, PUBLIC, Access, Thing, every_privilege

MAJORS = (14, 17)  # what "everything" is changed once between them


def held(access: Access) -> Rights:
    """Return the rights that were given, role by role: grants of their own, memberships and attributes.

    What PostgreSQL gives to "whoever owns the database" is told as that role's.
    """
    owner = next((one.member for one in access.memberships if one.role == DATABASE_OWNER), DATABASE_OWNER)
    rights: dict[tuple[str, Thing], set[str]] = {}
    for grant in access.grants:
        role = owner if grant.grantee == DATABASE_OWNER else grant.grantee
        rights.setdefault((role, grant.thing), set()).add(grant.privilege)
    return {key: frozenset(privileges) for key, privileges in rights.items()}


def after_up(before: Rights, declared: Declared) -> Rights:
    """Return the rights as an update leaves them: each pair of role and object that is declared as declared.

    What others hold stays: an update takes nothing from whom it does not know.
    """
    return {**before, **declared.rights}


class _Change(NamedTuple):
    """Rights on an object that a role gains or loses; `shared` where it has them through PUBLIC all the same."""

    role: str
    loses: bool
    kind: str
    privileges: tuple[str, ...]
    shared: bool
    thing: Thing


def sentences(before: Rights, after: Rights) -> list[str]:
    """Return what changes, a sentence per role and set of rights; PUBLIC comes last.

    Args:
        before: Who has which rights on what now; empty where nothing stands.
        after: The same as it would be.
    """
    changes: list[_Change] = []
    for role, thing in before.keys() | after.keys():
        old, new = before.get((role, thing), NOTHING), after.get((role, thing), NOTHING)
        for privileges, loses, otherwise in ((new - old, False, before), (old - new, True, after)):
            shared = privileges & otherwise.get((PUBLIC, thing), NOTHING) if role != PUBLIC else NOTHING
            changes += [
                _Change(role, loses, thing.kind, tuple(sorted(part)), through, thing)
                for part, through in ((privileges - shared, False), (shared, True))
                if part
            ]
    changes.sort(key=lambda change: (change.role == PUBLIC, change))
    groups = [list(group) for _, group in groupby(changes, key=lambda change: change[:-1])]
    return [_sentence(group[0], group) for group in groups]


def _sentence(change: _Change, group: list[_Change]) -> str:
    role, loses, kind, privileges, shared, _ = change
    names = _joined([one.thing.name if kind == "role" else one.thing.label for one in group])
    match kind:
        case "attributes" if privileges == ("LOGIN",):
            return f"{role} may {'no longer ' if loses else ''}log in"
        case "attributes":
            return f"{role} is {'no longer ' if loses else ''}{words(privileges)}"
        case "role" if {"SET", "INHERIT"} & set(privileges):
            return f"{role} {'is no longer' if loses else 'becomes'} a member of {names} ({words(privileges)})"
    everything = len(privileges) > 1 and frozenset(privileges) in [every_privilege(kind, major) for major in MAJORS]
    what = "everything" if everything else words(privileges)
    same = f", which it {'keeps' if loses else 'has'} through PUBLIC" if shared else ""
    return f"{role} {'loses' if loses else 'gains'} {what} on {names}{same}"


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
