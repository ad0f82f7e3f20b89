"""Write the statement that mends a drift. Pure; called by `drift`.

Names are as the server quoted them when it was read.

Source: https://www.postgresql.org/docs/18/sql-revoke.html (a superuser's REVOKE acts as the owner)
"""

from __future__ import annotations

from infra.access.matrix import GRANT_OPTION, Access, Grant, Thing, ordered

GRANTED_BY_SINCE = 16  # a membership has one row per grantor, and REVOKE takes one


def own(access: Access, thing: Thing, owner: str) -> str:
    """Return the statement that gives an object to a role."""
    return f"ALTER {'VIEW' if thing.kind == 'view' else thing.noun} {thing.sql} OWNER TO {_role(access, owner)}"


def revoke(access: Access, grant: Grant, privileges: tuple[str, ...]) -> str:
    """Return the statement that takes rights away as the one who gave them; nobody else's REVOKE would."""
    thing, who = grant.thing, _role(access, grant.grantee)
    if thing.kind == "attributes":
        return f"ALTER ROLE {who} {' '.join(f'NO{name}' for name in privileges)}"
    if thing.kind == "role":
        by = f" GRANTED BY {_role(access, grant.grantor)}" if access.major >= GRANTED_BY_SINCE else ""
        return f"REVOKE {thing.sql} FROM {who}{by}"
    plain = {name for name in privileges if not name.endswith(GRANT_OPTION)}
    options = {name.rstrip(GRANT_OPTION) for name in privileges} - plain
    statements = [
        _taken(thing, f"{prefix}{_listed(thing, names)}", who)
        for prefix, names in (("", plain), ("GRANT OPTION FOR ", options))
        if names
    ]
    if thing.kind != "default" and not thing.system and grant.grantor not in (thing.owner, ""):
        statements = [f"SET ROLE {_role(access, grant.grantor)}", *statements, "RESET ROLE"]
    return "; ".join(statements)


def _taken(thing: Thing, privileges: str, who: str) -> str:
    if thing.kind == "default":
        return f"{thing.sql} REVOKE {privileges} ON {thing.noun} FROM {who}"
    return f"REVOKE {privileges} ON {thing.noun} {thing.sql} FROM {who}"


def grant(access: Access, role: str, thing: Thing, privileges: tuple[str, ...]) -> str:
    """Return the statement that gives a role what it lacks."""
    who = _role(access, role)
    match thing.kind:
        case "attributes":
            return f"ALTER ROLE {who} {' '.join(privileges)}"
        case "role" if access.major >= GRANTED_BY_SINCE:
            return f"GRANT {_role(access, thing.name)} TO {who} WITH {', '.join(f'{name} TRUE' for name in privileges)}"
        case "role" if "INHERIT" in privileges and "SET" not in privileges:
            return f"ALTER ROLE {who} INHERIT"
        case "role":
            return f"GRANT {_role(access, thing.name)} TO {who}"
        case "default":
            return f"{_later(access, thing)} GRANT {', '.join(privileges)} ON {thing.name.split()[1].upper()} TO {who}"
        case _:
            return f"GRANT {_listed(thing, set(privileges))} ON {thing.noun} {thing.sql} TO {who}"


def _listed(thing: Thing, privileges: set[str] | frozenset[str]) -> str:
    """Return rights as GRANT takes them; a column's name stands behind each of them."""
    if thing.kind != "column":
        return ", ".join(ordered(privileges))
    column = '"' + thing.name.removeprefix(f"{thing.of}.").replace('"', '""') + '"'
    return ", ".join(f"{name} ({column})" for name in ordered(privileges))


def _later(access: Access, thing: Thing) -> str:
    """Return the beginning of ALTER DEFAULT PRIVILEGES, which stands nowhere while nothing is set."""
    owner = _role(access, thing.name.rpartition(" of ")[2])
    schema = next((one.sql for one in access.things if one.kind == "schema" and one.name == thing.schema), "")
    return thing.sql or f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner}{f' IN SCHEMA {schema}' if schema else ''}"


def _role(access: Access, name: str) -> str:
    """Return a role's name as SQL takes it."""
    return access.roles[name].sql if name in access.roles else name
