"""Say what each role should be able to do, from the same data the program declares. Pure.

`infra.privileges` and `infra.naming` are the only sources; `infra.grants` declares the very same as resources.
Called by `reading` with what stands, and by previews without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.access.matrix import DATABASE_OWNER, OF_ITSELF, PUBLIC, Access, Grant, Thing, every_privilege
from infra.naming import LEDGER_SCHEMA, RoleNames
from infra.privileges import PUBLIC as PLUGIN_PUBLIC
from infra.privileges import default_grants, object_grants, table_grants
from infra.products import Product
from infra.rotation import FIRST

# A right on one object: who has which.
Rights = dict[tuple[str, Thing], frozenset[str]]
# Whose an object is: the product's, the application's beside it, or PostgreSQL's own.
Scope = Literal["product", "application", "system"]
NOTHING: frozenset[str] = frozenset()
_OWNED = ("database", "schema", "table", "view", "sequence", "function")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What is declared for one product.

    Attributes:
        product: The product.
        names: Its roles.
        database: Name of its database.
        rights: What each role must be able to do by its own grants; PUBLIC is one of them.
        administrators: Roles that may make roles: their memberships are how a managed server works.
        seconds: The login that each second login is a member of, where rotation has made it.
    """

    product: Product
    names: RoleNames
    database: str
    rights: Rights
    administrators: frozenset[str]
    seconds: Mapping[str, str] = field(default_factory=dict)

    @property
    def roles(self) -> tuple[str, ...]:
        """The product's roles, the owner first."""
        return (self.names.owner, *self.names.logins.values(), *self.seconds)

    @property
    def acts_as(self) -> dict[str, str]:
        """The role that each role is a member of, where it is declared to be one."""
        return {self.names.migrator: self.names.owner, **self.seconds}

    def scope(self, thing: Thing) -> Scope:
        """Tell whose an object is."""
        if thing.system:
            return "system"
        product, names = self.product, self.names
        match thing.kind:
            case "database":
                mine = True
            case "schema":
                mine = thing.name in (product.schema, LEDGER_SCHEMA, "public")
            case "role" | "attributes":
                mine = thing.name in self.roles
            case "default":
                mine = thing.name.endswith(f" of {names.owner}")
            case _ if thing.schema == LEDGER_SCHEMA or (thing.schema == product.schema != "public"):
                mine = True
            case "table" | "column" | "sequence" if thing.kind == "table" or thing.of:
                mine = thing.schema == product.schema and (thing.of or thing.name) in product.tables
            case "view" | "sequence" | "function":
                mine = thing.schema == product.schema and thing.owner == names.owner
            case _:
                mine = False
        return "product" if mine else "application"

    def of(self, role: str, thing: Thing) -> frozenset[str]:
        """Return what a role must be able to do by grants of its own."""
        return self.rights.get((role, thing), NOTHING)

    def reached(self, role: str, thing: Thing) -> frozenset[str]:
        """Return what a role must be able to do in all, PUBLIC's rights and its declared membership included."""
        through = self.of(self.acts_as[role], thing) if role in self.acts_as and _is_inherited(thing) else NOTHING
        public = self.of(PUBLIC, thing) if _is_inherited(thing) else NOTHING
        return self.of(role, thing) | public | through

    def allows(self, grant: Grant) -> bool:
        """Tell whether a right that stands is declared, or belongs to what is."""
        thing, role, scope = grant.thing, grant.grantee, self.scope(grant.thing)
        if grant.privilege in self.of(role, thing):
            return True
        if thing.kind == "attributes":
            return scope != "product"
        if thing.kind == "role":
            known = scope == "product" or role in self.roles
            return not known or (scope == "product" and role in self.administrators)
        if thing.kind == "default":
            # What a role does with its own later objects is told only where it reaches ours, or everyone.
            elsewhere = scope != "product" and not self._concerns(role)
            return role == thing.owner or elsewhere or self._usual(grant)
        if role == thing.owner and (role == self.names.owner or role not in self.roles):
            return True  # whose object it should be is a question of its own: `drift` asks it
        if scope == "product":
            return self._by_default(grant) or self._usual(grant)
        return not self._concerns(role) or grant.builtin or self._by_default(grant) or self._prerequisite(grant)

    def _concerns(self, role: str) -> bool:
        """Tell whether what the role gets reaches a role of ours."""
        return role == PUBLIC or role in self.roles

    def _usual(self, grant: Grant) -> bool:
        """Tell whether PostgreSQL gives it to everyone and nothing of ours depends on it: the use of types."""
        return grant.builtin and (grant.thing.kind == "type" or grant.thing.noun == "TYPES")

    def _by_default(self, grant: Grant) -> bool:
        """Tell whether the declared default privileges give it on an object of the owner's, as on a stand-in."""
        thing = grant.thing
        if thing.owner != self.names.owner or thing.schema == LEDGER_SCHEMA or thing.name in self.product.tables:
            return False
        kinds = {"table": ("table", "view"), "function": ("function",)}
        return any(
            thing.kind in kinds[default.kind]
            and default.schema in (thing.schema, "")
            and grant.grantee == default.role
            and grant.privilege in default.privileges
            for default in default_grants(self.names, self.product.schema)
        )

    def _prerequisite(self, grant: Grant) -> bool:
        """Tell whether the owner needs it to point a foreign key at the application's tables."""
        if grant.grantee != self.names.owner:
            return False
        asked = self.product.prerequisites
        match grant.thing.kind:
            case "schema":
                return grant.privilege == "USAGE" and grant.thing.name in {table.schema for table in asked}
            case "table":
                name = (grant.thing.schema, grant.thing.name)
                return grant.privilege == "REFERENCES" and name in {(table.schema, table.table) for table in asked}
            case "column":
                name = (grant.thing.schema, grant.thing.name)
                keys = {(table.schema, f"{table.table}.{table.column}") for table in asked}
                return grant.privilege == "REFERENCES" and name in keys
            case _:
                return False


def declare(
    product: Product,
    names: RoleNames,
    *,
    database: str,
    major: int,
    access: Access | None = None,
    rotation: int | None = None,
) -> Declared:
    """Return what is declared for a product.

    Args:
        product: The product.
        names: Its roles.
        database: Name of its database.
        major: Major version of the server, which decides what "everything" is.
        access: What stands: the owner's rights on each object of the product are declared too.
        rotation: The stack's rotation, which says whether second logins are declared; where it is not known, those
            that stand are.
    """
    standing = {thing: thing for thing in access.things} if access else {}
    rights: dict[tuple[str, Thing], frozenset[str]] = {}

    def add(role: str, thing: Thing, *privileges: str) -> None:
        key = (PUBLIC if role == PLUGIN_PUBLIC else role, standing.get(thing, thing))
        rights[key] = rights.get(key, NOTHING) | frozenset(privileges)

    schemas = dict.fromkeys((product.schema, LEDGER_SCHEMA))
    for thing in (
        Thing(kind="database", name=database),
        *(Thing(kind="schema", name=schema) for schema in schemas),
        *(Thing(kind="table", schema=product.schema, name=table) for table in product.tables),
    ):
        add(names.owner, thing, *every_privilege(thing.kind, major))
    for given in object_grants(names, product.schema):
        add(given.role, Thing(kind=given.kind, name=given.schema or database), *given.privileges)
    for granted in table_grants(product.name, product.tables):
        for table in granted.tables:
            thing = Thing(kind="table", schema=product.schema, name=table)
            add(names.logins[granted.role], thing, *granted.privileges)
    for default in default_grants(names, product.schema):
        thing = Thing(kind="default", schema=default.schema, name=f"new {default.kind}s of {names.owner}")
        add(default.role, thing, *default.privileges)
    seconds = _seconds(names, access, rotation)
    for role, thing, privileges in _of_roles(names, seconds):
        add(role, thing, *privileges)

    declared = Declared(
        product=product,
        names=names,
        database=database,
        rights=rights,
        administrators=_administrators(access.roles if access else {}),
        seconds=seconds,
    )
    for thing in standing:
        if declared.scope(thing) == "product" and thing.kind in _OWNED and thing != Thing(kind="schema", name="public"):
            add(names.owner, thing, *every_privilege(thing.kind, major))
    return declared


def _seconds(names: RoleNames, access: Access | None, rotation: int | None) -> dict[str, str]:
    """Return the second logins that are declared, each with the login that it is a member of."""
    standing = access.roles if access else {}
    return {
        second: names.serving[kind]
        for kind, second in names.seconds.items()
        if (second in standing if rotation is None else rotation > FIRST)
    }


def _of_roles(names: RoleNames, seconds: Mapping[str, str]) -> Iterator[tuple[str, Thing, tuple[str, ...]]]:
    """Yield what each role is and may act as; the owner is nothing but what it owns."""
    yield names.owner, Thing(kind="attributes", name=names.owner), ()
    for login in (*names.logins.values(), *seconds):
        yield login, Thing(kind="attributes", name=login), ("LOGIN",)
    for member, role in {names.migrator: names.owner, **seconds}.items():
        yield member, Thing(kind="role", name=role), ("INHERIT", "SET")


def _is_inherited(thing: Thing) -> bool:
    """Tell whether a right on it comes with membership and PUBLIC: attributes and memberships themselves do not."""
    return thing.kind not in OF_ITSELF


def _administrators(roles: Mapping[str, object]) -> frozenset[str]:
    """Return the roles whose attributes let them make roles, and PostgreSQL's owner of the database."""
    able = {
        name for name, facts in roles.items() if {"SUPERUSER", "CREATEROLE"} & getattr(facts, "attributes", NOTHING)
    }
    return frozenset(able | {DATABASE_OWNER})
