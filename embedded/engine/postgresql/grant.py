"""The resource types Grant and DefaultPrivileges: who may do what. Edge; called through embedded.engine.postgresql.

Only what differs is revoked and granted: a privilege that stays is never away for a moment. `public` is PUBLIC.
A default privilege is a grant with an owner: it is on what that role will make.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from psycopg import sql

from embedded.engine.postgresql.noun import Noun, Property, Values, in_order
from embedded.engine.postgresql.session import Connection, Session, acting_for
from embedded.engine.provider import Failure

PRIVILEGES = {
    "database": ("CREATE", "CONNECT", "TEMPORARY"),
    "schema": ("CREATE", "USAGE"),
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "procedure": ("EXECUTE",),
    "routine": ("EXECUTE",),
    "type": ("USAGE",),
}
GRANTABLE = ("database", "schema", "table", "sequence", "function", "procedure", "routine")
DEFAULTABLE = {"table": "r", "sequence": "S", "function": "f", "routine": "f", "type": "T", "schema": "n"}
SHARED = {
    "database": Property(required=True, fixed=True),
    "role": Property(required=True, fixed=True),
    "schema": Property(fixed=True),
    "privileges": Property(kind="set", required=True),
    "withGrantOption": Property(kind="bool", default=False, fixed=True),
}
# Where the objects of a kind are: name, owner and privileges; an untouched object has PostgreSQL's own defaults.
RELATIONS = """SELECT relname, relowner, coalesce(relacl, acldefault({}, relowner)) FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND relkind = ANY({})"""
ROUTINES = """SELECT proname, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
    WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND prokind = ANY({})"""
OBJECTS = {
    "database": """SELECT datname, datdba, coalesce(datacl, acldefault('d', datdba)) FROM pg_database
        WHERE datname = %(database)s""",
    "schema": """SELECT nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
        WHERE nspname = %(schema)s""",
    "table": RELATIONS.format("'r'", "'{r,p,v,m,f}'"),
    "sequence": RELATIONS.format("'s'", "'{S}'"),
    "function": ROUTINES.format("'{f,a,w}'"),
    "procedure": ROUTINES.format("'{p}'"),
    "routine": ROUTINES.format("'{f,a,w,p}'"),
}
FUTURE = """SELECT '', r.oid, coalesce(defaclacl, CASE WHEN %(schema)s::text IS NULL THEN acldefault(%(of)s, r.oid) END)
    FROM pg_roles r LEFT JOIN pg_default_acl d ON d.defaclrole = r.oid AND d.defaclobjtype = %(kind)s
     AND d.defaclnamespace = coalesce((SELECT oid FROM pg_namespace WHERE nspname = %(schema)s), 0)
    WHERE r.rolname = %(owner)s"""
GRANTEE = "(CASE WHEN %(role)s = 'public' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = %(role)s) END)"


@dataclass(frozen=True)
class Held:
    """What a role may do with one object: its owner's name, the privileges, whether all of them may be handed on."""

    owner: str
    privileges: frozenset[str]
    grantable: bool


def rules(inputs: Values) -> list[Failure]:
    """Return what is wrong with a grant's properties taken together."""
    kind, future = inputs["objectType"], "owner" in inputs
    if not isinstance(kind, str) or not isinstance(inputs["privileges"], list):
        return []  # not known yet
    known = ("ALL", *PRIVILEGES[kind])
    foreign = [item for item in inputs["privileges"] if isinstance(item, str) and item not in known]
    failures = [Failure("privileges", f"{item!r} is not one of {', '.join(known)}") for item in foreign]
    if future and inputs.get("schema") and kind == "schema":
        failures.append(Failure("schema", "schemas do not lie in a schema: leave it out"))
    if not future and not inputs.get("schema") and kind != "database":
        failures.append(Failure("schema", f"it must be given for a grant on a {kind}"))
    if inputs.get("objects") and kind not in {"table", "sequence"}:
        failures.append(Failure("objects", "the embedded engine names tables and sequences alone; leave it out"))
    return failures


def read(session: Session, wanted: Values) -> Values | None:
    """Return a grant with what is held: the privileges wanted, or those on the first object that differs."""

    def look(connection: Connection) -> Values | None:
        meant = _meant(connection, wanted)
        held = _held(connection, wanted)
        if "owner" in wanted and meant and not held[0].privileges:
            return None  # as the official plugin has it
        for item in held:
            if item.privileges != meant:
                return {**wanted, "privileges": sorted(item.privileges)}
            if meant and item.grantable != wanted["withGrantOption"]:
                return {**wanted, "withGrantOption": item.grantable}
        return wanted

    what = f"cannot read the privileges of {wanted['role']}"
    return session.run(what, look, database=wanted["database"]) if _stands(session, wanted) else None


def apply(session: Session, wanted: Values) -> None:
    """Revoke what is held and not wanted, grant what is wanted."""
    role = sql.SQL("PUBLIC") if wanted["role"] == "public" else sql.Identifier(wanted["role"])
    start, objects = _clauses(wanted)

    def change(connection: Connection) -> None:
        def say(verb: str, privileges: Iterable[str], direction: str, end: str = "") -> None:
            words = sql.SQL(f"{verb} {', '.join(sorted(privileges))} ON ")
            connection.execute(sql.Composed([start, words, objects, sql.SQL(direction), role, sql.SQL(end)]))

        meant, held = _meant(connection, wanted), _held(connection, wanted)
        with acting_for(connection, [item.owner for item in held]):
            if surplus := frozenset[str]().union(*(item.privileges for item in held)) - meant:
                say("REVOKE", surplus, " FROM ")
            if meant and not wanted["withGrantOption"] and any(item.grantable for item in held):
                say("REVOKE GRANT OPTION FOR", meant, " FROM ")
            if meant:
                say("GRANT", meant, " TO ", " WITH GRANT OPTION" if wanted["withGrantOption"] else "")

    session.run(f"cannot set the privileges of {wanted['role']}", change, database=wanted["database"])


def delete(session: Session, old: Values) -> None:
    """Revoke what is held."""
    if _stands(session, old):
        apply(session, {**old, "privileges": []})


def _stands(session: Session, values: Values) -> bool:
    """Tell whether the database, the roles and the schema are there."""
    roles = [role for role in (values["role"], values.get("owner", "public")) if role != "public"]
    if not session.has("database", values["database"]) or not all(session.has("role", role) for role in roles):
        return False
    inside = values["schema"] and values["objectType"] != "database"
    return not inside or session.has("schema", values["schema"], database=values["database"])


def _held(connection: Connection, wanted: Values) -> list[Held]:
    """Return what the role holds on each object, or will hold on what the owner makes."""
    objects = FUTURE if "owner" in wanted else OBJECTS[wanted["objectType"]]
    named = "WHERE name = ANY(%(objects)s)" if wanted.get("objects") else ""
    query = f"""
        SELECT pg_get_userbyid(owner), ARRAY(SELECT privilege_type FROM aclexplode(acl) WHERE grantee = {GRANTEE}),
               (SELECT bool_and(is_grantable) FROM aclexplode(acl) WHERE grantee = {GRANTEE})
        FROM ({objects}) AS o (name, owner, acl) {named} ORDER BY name
        """  # noqa: S608 - texts of this module
    kind = DEFAULTABLE.get(wanted["objectType"], "")
    rows = connection.execute(query, {**wanted, "kind": kind, "of": kind.replace("S", "s")})
    return [Held(owner, frozenset(privileges), bool(grantable)) for owner, privileges, grantable in rows]


def _meant(connection: Connection, wanted: Values) -> frozenset[str]:
    """Return the privileges that are wanted, ALL spelled out."""
    if "ALL" not in wanted["privileges"]:
        return frozenset(wanted["privileges"])
    new = connection.info.server_version >= 170000
    return frozenset(item for item in PRIVILEGES[wanted["objectType"]] if item != "MAINTAIN" or new)


def _clauses(wanted: Values) -> tuple[sql.Composable, sql.Composable]:
    """Return what stands before GRANT or REVOKE, and what stands after ON."""
    kind, schema = wanted["objectType"], sql.Identifier(wanted["schema"] or "")
    plural = sql.SQL(f"{kind.upper()}S")
    if "owner" in wanted:
        start = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} ").format(sql.Identifier(wanted["owner"]))
        return start + sql.SQL("IN SCHEMA {} ").format(schema) if wanted["schema"] else start, plural
    if kind in {"database", "schema"}:
        return sql.SQL(""), sql.SQL(f"{kind.upper()} {{}}").format(sql.Identifier(wanted[kind]))
    if not wanted["objects"]:
        return sql.SQL(""), sql.SQL("ALL {} IN SCHEMA {}").format(plural, schema)
    names = sql.SQL(", ").join(sql.Identifier(wanted["schema"], name) for name in wanted["objects"])
    return sql.SQL(""), sql.SQL(f"{kind.upper()} {{}}").format(names)


def _identify(own: Values) -> str:
    inside = [own["schema"] or ""] if own["objectType"] != "database" else []
    return "_".join([own["role"], own["database"], *inside, own["objectType"], *in_order(own["objects"])])


GRANT = Noun(
    properties={
        **SHARED,
        "objectType": Property(required=True, fixed=True, choices=GRANTABLE),
        "objects": Property(kind="set", default=[], fixed=True),
    },
    identify=_identify,
    read=read,
    create=lambda session, wanted, _: apply(session, wanted),
    update=lambda session, _, wanted: apply(session, wanted),
    delete=delete,
    rules=rules,
)
DEFAULT_PRIVILEGES = replace(
    GRANT,
    properties={
        **SHARED,
        "objectType": Property(required=True, fixed=True, choices=tuple(DEFAULTABLE)),
        "owner": Property(required=True, fixed=True),
    },
    identify=lambda own: "_".join(
        [own["role"], own["database"], own["schema"] or "noschema", own["owner"], own["objectType"]]
    ),
)
