"""Read from the catalogue what each role can do in a database now. An edge: three queries, writes nothing.

Called by `chatdb access` and by previews. What is read is turned into the matrix by `matrix`, compared with what
is declared by `drift`.

Source: https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-ACLITEM (acldefault, aclexplode)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from infra import spelling
from infra.access import queries
from infra.access.declared import Declared, declare
from infra.access.drift import Drift, find
from infra.access.matrix import DATABASE_OWNER, GRANT_OPTION, Access, Grant, Membership, RoleFacts, Thing, ordered
from infra.naming import RoleNames, role_names
from infra.products import Product


class Report(NamedTuple):
    """What a product's roles can do now, what is declared, and where the two part."""

    product: Product
    access: Access
    declared: Declared
    drift: tuple[Drift, ...]


def report(
    connection: psycopg.Connection[Any],
    product: Product,
    *,
    names: RoleNames | None = None,
    rotation: int | None = None,
) -> Report:
    """Compare what can be done in a product's database with what is declared.

    Args:
        connection: The product's database, as any role that may connect: the catalogue is open to all.
        product: The product.
        names: Its roles as the stack names them; the product's own names where None.
        rotation: The stack's rotation, where it is known: it says which logins are declared.
    """
    names = names or role_names(product)
    access = read(connection, owner=names.owner)
    declared = declare(product, names, database=access.database, major=access.major, access=access, rotation=rotation)
    return Report(product, access, declared, find(access, declared))


def read(connection: psycopg.Connection[Any], *, owner: str) -> Access:
    """Return every role, membership, object and right of the database.

    Args:
        connection: The database, in or out of a transaction.
        owner: Role whose default privileges are told even where PostgreSQL's own hold.
    """
    major = connection.info.server_version // 10000
    with spelling.alike(connection):
        roles = connection.execute(queries.ROLES).fetchall()
        members = connection.execute(queries.MEMBERSHIPS).fetchall()
        rows = connection.execute(queries.grants(major), {"owner": owner}).fetchall()
    return _assemble(connection.info.dbname, major, roles, members, rows)


def _assemble(
    database: str,
    major: int,
    roles: Sequence[tuple[Any, ...]],
    members: Sequence[tuple[Any, ...]],
    rows: Sequence[tuple[Any, ...]],
) -> Access:
    """Return what was read, with memberships and attributes as rights of their own."""
    known = {name: RoleFacts(name=name, sql=quoted, attributes=frozenset(has)) for name, quoted, has in roles}
    things: dict[Thing, None] = {}
    grants: list[Grant] = []
    owner = ""
    for kind, schema, name, noun, quoted, owned_by, of, system, grantee, grantor, privilege, grantable, *given in rows:
        thing = Thing(kind=kind, schema=schema, name=name, noun=noun, sql=quoted, owner=owned_by, of=of, system=system)
        things.setdefault(thing)
        if kind == "database":
            owner = owned_by
        if privilege is None:
            continue
        spelt = "TEMP" if privilege == "TEMPORARY" else privilege
        grants.append(Grant(thing, grantee, spelt, grantor, *given))
        if grantable:
            grants.append(Grant(thing, grantee, spelt + GRANT_OPTION, grantor, *given))
    memberships = [
        Membership(role=role, member=member, inherit=inherit, may_set=may_set, admin=admin, grantor=grantor)
        for role, member, inherit, may_set, admin, grantor in members
    ]
    for membership in memberships:
        thing = Thing(kind="role", name=membership.role, sql=known[membership.role].sql)
        things.setdefault(thing)
        options = (("INHERIT", membership.inherit), ("SET", membership.may_set), ("ADMIN", membership.admin))
        grants += [Grant(thing, membership.member, name, membership.grantor) for name, given in options if given]
    for role in known.values():
        thing = Thing(kind="attributes", name=role.name, sql=role.sql)
        things.setdefault(thing)
        grants += [Grant(thing, role.name, attribute) for attribute in ordered(role.attributes)]
    return Access(
        database=database,
        major=major,
        roles=known,
        memberships=(*memberships, Membership(role=DATABASE_OWNER, member=owner)),
        things=tuple(things),
        grants=tuple(grants),
    )
