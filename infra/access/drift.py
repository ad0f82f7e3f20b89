"""Name every right that is not declared, and every declared one that is missing. Pure.

Called by `reading` with what was read and what is declared. Each drift is a sentence with the statement that
mends it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from infra.access import mends
from infra.access.declared import Declared
from infra.access.matrix import (
    DATABASE_OWNER,
    GRANT_OPTION,
    PUBLIC,
    Access,
    Grant,
    Held,
    Thing,
    effective,
    ordered,
    reach,
)

_OWNABLE = ("database", "schema", "table", "view", "sequence", "function", "type", "foreign server")


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One way in which what stands is not what is declared.

    Attributes:
        kind: "undeclared" right, "missing" right, "reached" through a membership that is not declared, "ownership".
        role: Whose right it is, or PUBLIC.
        thing: On what.
        privileges: The rights, as people read them.
        sentence: What is off and who granted it, in words.
        mend: The statement that mends it; empty where mending another drift does.
    """

    kind: str
    role: str
    thing: Thing
    privileges: tuple[str, ...]
    sentence: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}; mend: {self.mend}" if self.mend else self.sentence

    def as_dict(self) -> dict[str, object]:
        """Return the drift for `--json`."""
        return {
            "kind": self.kind,
            "role": self.role,
            "object": self.thing.label,
            "objectKind": self.thing.kind,
            "privileges": list(self.privileges),
            "sentence": self.sentence,
            "mend": self.mend,
        }


def find(access: Access, declared: Declared) -> tuple[Drift, ...]:
    """Return every drift: owners first, then what is held and not declared, what that reaches, what is missing."""
    owners = tuple(_ownership(access, declared))
    astray = {drift.thing for drift in owners}
    return (
        *owners,
        *_undeclared(access, declared, astray),
        *_reached(access, declared),
        *_missing(access, declared, astray),
    )


def words(privileges: Collection[str]) -> str:
    """Return rights in a sentence: `SELECT, INSERT (with grant option)`."""
    plain = [name for name in ordered(privileges) if not name.endswith(GRANT_OPTION)]
    passed_on = [name.rstrip(GRANT_OPTION) for name in ordered(privileges) if name.endswith(GRANT_OPTION)]
    parts = [name for name in plain if name not in passed_on] + [f"{name} with grant option" for name in passed_on]
    return ", ".join(parts)


def _ownership(access: Access, declared: Declared) -> Iterator[Drift]:
    owner = declared.names.owner
    able = {owner, *(name for name, facts in access.roles.items() if "SUPERUSER" in facts.attributes), DATABASE_OWNER}
    for thing in access.things:
        if thing.kind not in _OWNABLE or thing.owner == owner or thing.system:
            continue
        ours = declared.scope(thing) == "product"
        if thing.kind == "schema" and thing.name == "public" and thing.owner in able:
            continue  # initdb's schema: from 15 on it is the database owner's, before the first superuser's
        if ours or thing.owner in declared.roles:
            yield Drift(
                kind="ownership",
                role=thing.owner,
                thing=thing,
                privileges=(),
                sentence=f"{thing.owner} owns {thing.label}, which is not declared: {owner} should own it",
                mend=mends.own(access, thing, owner),
            )


def _undeclared(access: Access, declared: Declared, astray: set[Thing]) -> Iterator[Drift]:
    extra = [
        grant
        for grant in access.grants
        if not declared.allows(grant) and not (grant.thing in astray and grant.grantee == grant.thing.owner)
    ]
    extra.sort(key=lambda grant: (grant.grantee, grant.thing, grant.grantor))
    for (role, thing, grantor), group in groupby(extra, key=lambda grant: (grant.grantee, grant.thing, grant.grantor)):
        grants = list(group)
        privileges = tuple(ordered({grant.privilege for grant in grants}))
        how = "by default" if grants[0].unset else f"granted by {grantor}"
        yield Drift(
            kind="undeclared",
            role=role,
            thing=thing,
            privileges=privileges,
            sentence=_says(role, thing, privileges, how),
            mend="; ".join((*_kept(access, declared, grants), mends.revoke(access, grants[0], privileges))),
        )


def _kept(access: Access, declared: Declared, grants: Sequence[Grant]) -> Iterator[str]:
    """Return what gives our roles what is declared for them and they have as everyone alone, who is to lose it."""
    lost, thing = {grant.privilege for grant in grants}, grants[0].thing
    for role in declared.roles if grants[0].grantee == PUBLIC else ():
        held = effective(access, role).get(thing, {})
        alone = {name for name in lost & declared.of(role, thing) if name in held and held[name].how == "public"}
        if alone:
            yield mends.grant(access, role, thing, tuple(ordered(alone)))


def _says(role: str, thing: Thing, privileges: tuple[str, ...], how: str) -> str:
    match thing.kind:
        case "attributes":
            return f"{role} is {words(privileges)}, which is not declared"
        case "role":
            return f"{role} is a member of {thing.name} ({words(privileges)}), which is not declared: {how}"
        case "default":
            return f"{role} will have {words(privileges)} on {thing.label}, which is not declared: {how}"
        case _:
            return f"{role} has {words(privileges)} on {thing.label}, which is not declared: {how}"


def _reached(access: Access, declared: Declared) -> Iterator[Drift]:
    """Return what our roles can do only through memberships that are not declared."""
    known = [one for one in access.memberships if declared.acts_as.get(one.member) == one.role]
    known += [one for one in access.memberships if one.role == DATABASE_OWNER]
    for role in declared.roles:
        if not set(reach(access.memberships, role)) - set(reach(known, role)):
            continue
        as_declared = effective(access, role, memberships=known)
        for thing, sources in sorted(effective(access, role).items()):
            before = as_declared.get(thing, {})
            more = {name: source for name, source in sources.items() if name not in before}
            for via in sorted({source.via for source in more.values()}):
                gained = tuple(ordered(name for name, source in more.items() if source.via == via))
                how = next(source.how for source in more.values() if source.via == via)
                way = f"after SET ROLE {via}" if how == "set role" else f"through {via}"
                yield Drift(
                    kind="reached",
                    role=role,
                    thing=thing,
                    privileges=gained,
                    sentence=f"{role} has {words(gained)} on {thing.label} {way}, which is not declared",
                )


def _missing(access: Access, declared: Declared, astray: set[Thing]) -> Iterator[Drift]:
    able: dict[str, Held] = {}
    standing = set(access.things)
    for (role, thing), privileges in declared.rights.items():
        if role != PUBLIC and role not in access.roles:
            if thing.kind == "attributes":
                yield Drift(
                    kind="missing",
                    role=role,
                    thing=thing,
                    privileges=(),
                    sentence=f"the role {role} does not stand, and it is declared",
                    mend="chatdb up",
                )
            continue
        if role not in able:
            able[role] = effective(access, role)
        held = able[role].get(thing, {})
        # A right that takes a SET ROLE first is not one that the role has.
        lacking = tuple(ordered(p for p in privileges if p not in held or held[p].how == "set role"))
        if not lacking or (thing in astray and role == declared.names.owner):
            continue
        stands = thing in standing or thing.kind in ("default", "role")
        yield Drift(
            kind="missing",
            role=role,
            thing=thing,
            privileges=lacking,
            sentence=_lacks(role, thing, lacking, stands=stands),
            mend=mends.grant(access, role, thing, lacking) if stands else "chatdb up",
        )


def _lacks(role: str, thing: Thing, privileges: tuple[str, ...], *, stands: bool) -> str:
    match thing.kind:
        case "attributes":
            return f"{role} is not {words(privileges)}, which is declared"
        case "role":
            return f"{role} is not a member of {thing.name} ({words(privileges)}), which is declared"
        case _:
            why = "" if stands else ": it does not stand"
            return f"{role} lacks {words(privileges)} on {thing.label}, which is declared{why}"
