"""Compute who can do what from grants, memberships and attributes. Pure: takes what `reading` read.

Memberships and attributes are rights too: on the object "role lyra_owner", and on the role's own attributes, so that
one matrix holds everything. `declared` says what should be, `drift` compares.

Source: https://www.postgresql.org/docs/18/ddl-priv.html, https://www.postgresql.org/docs/18/role-membership.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PUBLIC = "PUBLIC"
DATABASE_OWNER = "pg_database_owner"  # its one member is whoever owns the database, without a row that says so

# In the order in which people read them.
ORDER = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    *("USAGE", "CREATE", "CONNECT", "TEMP", "EXECUTE", "SET", "ALTER SYSTEM", "INHERIT", "ADMIN", "LOGIN"),
)
_OF_TABLE = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"))
_OF_KIND: dict[str, frozenset[str]] = {
    "database": frozenset(("CONNECT", "CREATE", "TEMP")),
    "schema": frozenset(("CREATE", "USAGE")),
    "table": _OF_TABLE,
    "view": _OF_TABLE,
    "sequence": frozenset(("SELECT", "UPDATE", "USAGE")),
    "function": frozenset(("EXECUTE",)),
}
MAINTAIN_SINCE = 17
# What membership in a predefined role gives on every object of a kind, without any grant on it.
_PREDEFINED: dict[str, dict[str, tuple[str, ...]]] = {
    "pg_read_all_data": {"table": ("SELECT",), "view": ("SELECT",), "sequence": ("SELECT",), "schema": ("USAGE",)},
    "pg_write_all_data": {
        "table": ("INSERT", "UPDATE", "DELETE"),
        "view": ("INSERT", "UPDATE", "DELETE"),
        "sequence": ("UPDATE",),
        "schema": ("USAGE",),
    },
    "pg_maintain": {"table": ("MAINTAIN",), "view": ("MAINTAIN",)},
}
GRANT_OPTION = "*"
# Attributes are never inherited, what a membership reaches is told by the rights there, and a later object has its own.
OF_ITSELF = ("attributes", "role", "default")
How = Literal["own", "public", "member", "set role", "superuser"]


@dataclass(frozen=True, kw_only=True, order=True)
class Thing:
    """An object on which somebody may have rights.

    Attributes:
        kind: "database", "schema", "table", "column", "view", "sequence", "function", "default", "role", "attributes"
            and, where somebody has more than PostgreSQL gives everyone, "type", "language", "parameter" and the like.
        schema: Its schema; empty where it has none.
        name: Its name: a column's with its table, a function's with its argument types.
        noun: What SQL calls it in a GRANT: TABLE, SCHEMA; of default privileges TABLES, FUNCTIONS.
        sql: Its name as SQL takes it, quoted where needed; of default privileges the statement up to the GRANT.
        owner: Role that owns it.
        of: Table it belongs to: a column's, an owned sequence's, the top table of a partition.
        system: PostgreSQL's own, or an extension's.
    """

    kind: str
    schema: str = ""
    name: str
    noun: str = field(default="", compare=False)
    sql: str = field(default="", compare=False)
    owner: str = field(default="", compare=False)
    of: str = field(default="", compare=False)
    system: bool = field(default=False, compare=False)

    @property
    def label(self) -> str:
        """Its name for people, with the schema."""
        match self.kind:
            case "default":
                return f"{self.name} in {self.schema or 'any schema'}"
            case "role" | "attributes" | "schema":
                return f"{self.kind} {self.name}".removeprefix("attributes ")
            case _:
                return f"{self.schema}.{self.name}" if self.schema else self.name


class Grant(NamedTuple):
    """One right that one role was given.

    `builtin` where it is what PostgreSQL gives unless told otherwise, `unset` where nothing was told yet.
    """

    thing: Thing
    grantee: str
    privilege: str
    grantor: str = ""
    builtin: bool = False
    unset: bool = False


@dataclass(frozen=True, kw_only=True)
class Membership:
    """That a role is a member of another, with the options of PostgreSQL 16; before, SET always holds."""

    role: str
    member: str
    inherit: bool = True
    may_set: bool = True
    admin: bool = False
    grantor: str = ""


@dataclass(frozen=True, kw_only=True)
class RoleFacts:
    """A role: its name as SQL takes it, and its attributes as ALTER ROLE spells them."""

    name: str
    sql: str
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a database's catalogue says of access.

    Attributes:
        database: Name of the database.
        major: Major version of the server.
        roles: Every role, by name.
        memberships: Who is a member of what, the one of pg_database_owner included.
        things: Every object that was read.
        grants: Every right on them, owners' included.
    """

    database: str
    major: int
    roles: Mapping[str, RoleFacts]
    memberships: tuple[Membership, ...]
    things: tuple[Thing, ...]
    grants: tuple[Grant, ...]


class Source(NamedTuple):
    """How a role comes by a right: its own grant, PUBLIC's, through a role, by SET ROLE to one, or as superuser."""

    how: How
    via: str
    grantor: str = ""


# Per object the rights on it, each with how the role comes by it.
Held = dict[Thing, dict[str, Source]]


def every_privilege(kind: str, major: int) -> frozenset[str]:
    """Return all rights that an object of a kind knows; none for kinds that are not listed in full."""
    known = _OF_KIND.get(kind, frozenset())
    return known | {"MAINTAIN"} if kind in ("table", "view") and major >= MAINTAIN_SINCE else known


def ordered(privileges: Iterable[str]) -> list[str]:
    """Return rights in the order in which people read them."""
    places = {privilege: place for place, privilege in enumerate(ORDER)}
    return sorted(privileges, key=lambda one: (places.get(one.rstrip(GRANT_OPTION), len(places)), one))


def reach(memberships: Iterable[Membership], role: str) -> dict[str, bool]:
    """Return the roles whose rights a role has: True at once, by inheritance; False after SET ROLE.

    A right is inherited where every membership on the way inherits. SET ROLE goes as far as every membership on the
    way may set, and from there on what that role inherits comes with it.
    """
    of: dict[str, list[Membership]] = {}
    for membership in memberships:
        of.setdefault(membership.member, []).append(membership)
    at_once = _closure(of, [role], inheriting=True)
    taken = _closure(of, [role], inheriting=False)
    after = _closure(of, sorted(taken), inheriting=True)
    return {name: name in at_once for name in (at_once | after) - {role}}


def _closure(of: Mapping[str, list[Membership]], start: Iterable[str], *, inheriting: bool) -> set[str]:
    found = set(start)
    waiting = list(found)
    while waiting:
        for membership in of.get(waiting.pop(), ()):
            if (membership.inherit if inheriting else membership.may_set) and membership.role not in found:
                found.add(membership.role)
                waiting.append(membership.role)
    return found


def effective(access: Access, role: str, *, memberships: Collection[Membership] | None = None) -> Held:
    """Return what a role can do now, PUBLIC's rights and those of its memberships included.

    Args:
        access: What was read.
        role: The role, or PUBLIC.
        memberships: Those that count; all that were read where None.
    """
    counted = access.memberships if memberships is None else memberships
    roles: dict[str, Source] = {role: Source("own", role), PUBLIC: Source("public", PUBLIC)}
    if role == PUBLIC:
        roles = {PUBLIC: Source("own", PUBLIC)}
    else:
        for name, inherited in sorted(reach(counted, role).items(), key=lambda entry: not entry[1]):
            roles.setdefault(name, Source("member" if inherited else "set role", name))
    held: Held = {}
    # In the order of `roles`: a right of its own is told before one that comes by a membership.
    by_grantee: dict[str, list[Grant]] = {}
    for grant in (*access.grants, *_predefined(access, roles)):
        by_grantee.setdefault(grant.grantee, []).append(grant)
    for name, source in roles.items():
        for grant in by_grantee.get(name, ()):
            if grant.thing.kind in OF_ITSELF and name != role:
                continue
            held.setdefault(grant.thing, {}).setdefault(grant.privilege, source._replace(grantor=grant.grantor))
    if role in access.roles and "SUPERUSER" in access.roles[role].attributes:
        for thing in access.things:
            for privilege in every_privilege(thing.kind, access.major):
                held.setdefault(thing, {}).setdefault(privilege, Source("superuser", role))
    return held


def _predefined(access: Access, reached: Collection[str]) -> list[Grant]:
    """Return what the predefined roles among the reached ones may, as if it had been granted."""
    return [
        Grant(thing, name, privilege)
        for name, kinds in _PREDEFINED.items()
        if name in reached
        for thing in access.things
        for privilege in kinds.get(thing.kind, ())
        if not thing.system
    ]
