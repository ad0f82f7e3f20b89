"""Lay the matrix out: a row per object, a column per role, in each cell what it can do beside what is declared. Pure.

Called by `chatdb access`, for people and for machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.access.declared import NOTHING, Declared
from infra.access.drift import Drift
from infra.access.matrix import PUBLIC, Access, Held, Thing, effective, every_privilege, ordered

KINDS = ("attributes", "role", "database", "schema", "table", "column", "view", "sequence", "function", "default")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one role can do on one object, each list in the order of reading.

    Attributes:
        effective: What it can do now.
        after_set_role: What it can do after a SET ROLE to a role that it may take.
        declared: What is declared, by its own grants, PUBLIC's and its declared membership.
        undeclared: What it holds, one way or the other, and is not declared.
        missing: What is declared and it cannot do.
        everything: Whether it can do all there is to do on this kind of object.
    """

    effective: tuple[str, ...] = ()
    after_set_role: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    everything: bool = False

    def as_dict(self) -> dict[str, list[str]]:
        """Return the cell for machines, without empty lists."""
        lists = {
            "effective": self.effective,
            "afterSetRole": self.after_set_role,
            "declared": self.declared,
            "undeclared": self.undeclared,
            "missing": self.missing,
        }
        return {key: list(names) for key, names in lists.items() if names}


def columns(declared: Declared, drift: Sequence[Drift]) -> tuple[str, ...]:
    """Return the roles that have a column: the product's, PUBLIC, and strangers who hold what is not declared."""
    known = (*declared.roles, PUBLIC)
    return (*known, *sorted({one.role for one in drift} - set(known)))


def rows(access: Access, declared: Declared, drift: Sequence[Drift]) -> list[tuple[Thing, dict[str, Cell]]]:
    """Return each object of the product, and whatever else a drift is about, with a cell per role that has one."""
    roles = columns(declared, drift)
    held = {role: effective(access, role) for role in roles}
    about: dict[Thing, list[Drift]] = {}
    for one in drift:
        about.setdefault(one.thing, []).append(one)
    things = {thing for thing in access.things if declared.scope(thing) == "product"}
    things |= {thing for _, thing in declared.rights} | set(about)
    # A role's attributes and who is a member of it are told by the role, in one row each.
    found = []
    for thing in sorted(things, key=lambda one: (KINDS.index(one.kind) if one.kind in KINDS else len(KINDS), one)):
        cells = {role: _cell(access, declared, about.get(thing, []), role, thing, held[role]) for role in roles}
        if thing.kind == "default":
            # What the owner may do with its own, and what PostgreSQL gives everyone on types, says nothing.
            cells = {role: cell for role, cell in cells.items() if cell.declared or cell.undeclared or cell.missing}
        cells = {role: cell for role, cell in cells.items() if cell != Cell()}
        if cells:
            found.append((thing, cells))
    return found


def _cell(access: Access, declared: Declared, drift: Sequence[Drift], role: str, thing: Thing, held: Held) -> Cell:
    sources = held.get(thing, {})
    ours = role in (*declared.roles, PUBLIC)
    wanted = declared.reached(role, thing) if ours else NOTHING
    named = {(one.role, privilege) for one in drift for privilege in one.privileges}
    at_once = {name for name, source in sources.items() if source.how != "set role"}
    known = every_privilege(thing.kind, access.major)
    return Cell(
        effective=tuple(ordered(at_once)),
        after_set_role=tuple(ordered(sources.keys() - at_once)),
        declared=tuple(ordered(wanted)),
        undeclared=tuple(
            ordered(
                name
                for name, source in sources.items()
                if (role, name) in named
                or (source.via, name) in named
                or (source.how == "superuser" and name not in wanted)
            )
        ),
        missing=tuple(ordered(wanted - at_once)),
        everything=len(known) > 1 and at_once >= known,
    )
