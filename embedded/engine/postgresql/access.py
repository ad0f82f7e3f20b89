"""The resource types Grant, DefaultPrivileges and GrantRole: who may do what, and as whom. Edge.

Only what differs is revoked and granted: a privilege that stays is never away for a moment. `public` is PUBLIC.
A default privilege is a grant on what its owner will make: the same rows of an ACL, kept in another catalogue.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar

from psycopg import sql

from embedded.engine.postgresql.noun import Connection, Noun, Property, do
from embedded.engine.postgresql.objects import Named
from embedded.engine.provider import Failure, Values
from embedded.engine.values import is_known
from infra.acting import acting_for

PRIVILEGES = {
    "database": ("CREATE", "CONNECT", "TEMPORARY"),
    "schema": ("CREATE", "USAGE"),
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
}
# Where the objects of a kind are: name, owner, privileges, and what PostgreSQL calls the kind where it has defaults.
SCHEMA = "(SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)"
RELATIONS = f"relname, relowner, relacl, '{{}}' FROM pg_class WHERE relnamespace = {SCHEMA} AND relkind = ANY('{{}}')"
OBJECTS = {
    "database": "datname, datdba, datacl, 'd' FROM pg_database WHERE datname = %(database)s",
    "schema": "nspname, nspowner, nspacl, 'n' FROM pg_namespace WHERE nspname = %(schema)s",
    "table": RELATIONS.format("r", "{r,p,v,m,f}"),
    "sequence": RELATIONS.format("s", "{S}"),
    "function": f"proname, proowner, proacl, 'f' FROM pg_proc WHERE pronamespace = {SCHEMA} AND prokind <> 'p'",
}
# The same of what a role will make; in a schema there are no defaults of PostgreSQL's own.
FUTURE = f"""'', r.oid, defaclacl, CASE WHEN %(schema)s::text IS NULL THEN translate('{{0}}', 'S', 's') END
    FROM pg_roles r LEFT JOIN pg_default_acl ON defaclrole = r.oid AND defaclobjtype = '{{0}}'
                                            AND defaclnamespace = coalesce({SCHEMA}, 0) WHERE rolname = %(owner)s"""
DEFAULTS = {kind: FUTURE.format(letter) for kind, letter in (("table", "r"), ("sequence", "S"), ("function", "f"))}
# For each object its owner, what the role holds, and whether all of it may be handed on.
HELD = """SELECT pg_get_userbyid(owner), privileges, grantable
    FROM (SELECT {}) AS object (name, owner, acl, kind), LATERAL (
        SELECT coalesce(array_agg(privilege_type), '{{}}'), coalesce(bool_and(is_grantable), false)
        FROM aclexplode(coalesce(acl, acldefault(kind::"char", owner)))
        WHERE grantee = CASE %(role)s WHEN 'public' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = %(role)s) END
    ) AS held (privileges, grantable)
    WHERE %(objects)s::text[] = '{{}}' OR name = ANY(%(objects)s) ORDER BY name"""
STANDS = """SELECT WHERE ARRAY[%(role)s, %(owner)s] <@ ARRAY(SELECT rolname::text FROM pg_roles UNION SELECT 'public')
    AND coalesce(%(schema)s, 'pg_catalog') IN (SELECT nspname FROM pg_namespace)"""
# Through JSON, as PostgreSQL before 16 has no such columns. The right to administer alone, which PostgreSQL 16 gives to
# who makes a role, is no membership.
MEMBERSHIP = """pg_auth_members m WHERE pg_get_userbyid(roleid) = %(grantRole)s AND pg_get_userbyid(member) = %(role)s
      AND NOT to_jsonb(m) @> '{"inherit_option": false, "set_option": false}' HAVING count(*) > 0"""
KEY, OPTION = Property(required=True, fixed=True), Property("bool", default=False, fixed=True)
SHARED = {"database": KEY, "role": KEY, "schema": Property(fixed=True), "privileges": Property("set", required=True)}
SHARED |= {"withGrantOption": OPTION, "objectType": KEY}


class Grant(Noun):
    """GRANT and REVOKE on objects that stand.

    Attributes:
        sources: For each type of object the query of those meant.
    """

    title = "the privileges of {role}"
    properties: ClassVar[Mapping[str, Property]] = {**SHARED, "objects": Property("set", default=[], fixed=True)}
    sources: Mapping[str, str] = OBJECTS

    def identify(self, own: Values) -> str:
        """Return the official plugin's id; a set's items are ordered by their CRC-32 as text.

        Source: https://github.com/hashicorp/terraform-plugin-sdk/blob/main/helper/schema/set.go
        """
        inside = [own["schema"] or ""] if own["objectType"] != "database" else []
        objects = sorted(own["objects"], key=lambda item: str(zlib.crc32(item.encode())))
        return "_".join([own["role"], own["database"], *inside, own["objectType"], *objects])

    def rules(self, inputs: Values) -> list[Failure]:
        """Return what is wrong with a grant's properties taken together."""
        kind, privileges = inputs["objectType"], inputs["privileges"]
        if not is_known(kind) or not isinstance(privileges, list):
            return []
        if kind not in self.sources:
            return [Failure("objectType", f"{kind!r} is none of {', '.join(self.sources)}; use the Pulumi CLI for it")]
        known, schema, future = ("ALL", *PRIVILEGES[kind]), inputs.get("schema"), "owner" in self.properties
        foreign = [item for item in privileges if is_known(item) and item not in known]
        failures = [Failure("privileges", f"{item!r} is not one of {', '.join(known)}") for item in foreign]
        if not future and not schema and kind != "database":
            failures.append(Failure("schema", f"it must be given for a grant on a {kind}"))
        if inputs.get("objects") and kind not in {"table", "sequence"}:
            failures.append(Failure("objects", "the embedded engine names tables and sequences alone; leave it out"))
        return failures

    def place(self, wanted: Values) -> tuple[str, str]:
        """Return what stands before GRANT and REVOKE, and what stands after ON; braces around what is a name."""
        kind = wanted["objectType"]
        if kind in {"database", "schema"}:
            return "", f"{kind} {{{kind}}}"
        return "", f"{kind} {{objects}}" if wanted["objects"] else f"ALL {kind}S IN SCHEMA {{schema}}"

    def read(self, connection: Connection, wanted: Values) -> Values | None:
        """Return a grant with what is held: the privileges wanted, or those on the first object that differs."""
        if not connection.execute(STANDS, {"owner": "public", **wanted}).rowcount:
            return None
        meant = _meant(connection, wanted)
        for _, privileges, grantable in self._held(connection, wanted):
            if set(privileges) != meant:
                return {**wanted, "privileges": sorted(privileges)}
            if meant and grantable != wanted["withGrantOption"]:
                return {**wanted, "withGrantOption": grantable}
        return wanted

    def apply(self, connection: Connection, _old: Values | None, wanted: Values, *, resumed: bool = False) -> None:
        """Revoke what is held and not wanted, grant what is wanted."""
        objects = [sql.Identifier(wanted["schema"] or "", name) for name in wanted.get("objects", ())]
        role = sql.SQL("PUBLIC") if wanted["role"] == "public" else wanted["role"]
        start, place = self.place(wanted)

        def say(verb: str, privileges: Iterable[str], whom: str) -> None:
            text = f"{start} {verb} {', '.join(sorted(privileges))} ON {place} {whom}"
            do(connection, text, {**wanted, "role": role, "objects": sql.SQL(", ").join(objects)})

        meant, held = _meant(connection, wanted), self._held(connection, wanted)
        with acting_for(connection, *(owner for owner, _, _ in held)):
            if surplus := {name for _, privileges, _ in held for name in privileges} - meant:
                say("REVOKE", surplus, "FROM {role}")
            if meant and not wanted["withGrantOption"] and any(grantable for _, _, grantable in held):
                say("REVOKE GRANT OPTION FOR", meant, "FROM {role}")
            if meant:
                say("GRANT", meant, "TO {role}" + " WITH GRANT OPTION" * wanted["withGrantOption"])

    def delete(self, connection: Connection, old: Values) -> None:
        """Revoke what is held; of a role or an object that is gone nothing is."""
        self.apply(connection, old, {**old, "privileges": []})

    def _held(self, connection: Connection, wanted: Values) -> list[tuple[str, list[str], bool]]:
        query = HELD.format(self.sources[wanted["objectType"]])
        return connection.execute(query, {"objects": [], **wanted}).fetchall()


class DefaultPrivileges(Grant):
    """ALTER DEFAULT PRIVILEGES: GRANT and REVOKE on what a role will make."""

    properties: ClassVar[Mapping[str, Property]] = {**SHARED, "owner": KEY}
    sources = DEFAULTS

    def identify(self, own: Values) -> str:
        """Return the official plugin's id."""
        schema = own["schema"] or "noschema"
        return "{role}_{database}_{schema}_{owner}_{objectType}".format(**{**own, "schema": schema})

    def place(self, wanted: Values) -> tuple[str, str]:
        """Return what stands before GRANT and REVOKE, and what stands after ON."""
        start = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner}" + " IN SCHEMA {schema}" * bool(wanted["schema"])
        return start, f"{wanted['objectType']}S"

    def read(self, connection: Connection, wanted: Values) -> Values | None:
        """Return the default as a grant is read; one that is gone altogether is none, as the official plugin has it."""
        live = super().read(connection, wanted)
        return None if live and wanted["privileges"] and not live["privileges"] else live


class GrantRole(Named):
    """GRANT and REVOKE of one role to another."""

    title, catalogue = "the membership of {role} in {grantRole}", MEMBERSHIP
    properties: ClassVar[Mapping[str, Property]] = {
        "role": KEY,
        "grantRole": KEY,
        "withAdminOption": Property("bool", default=False, fixed=True, reads="bool_or(admin_option)"),
    }

    def identify(self, own: Values) -> str:
        """Return the official plugin's id."""
        return f"{own['role']}_{own['grantRole']}_{str(own['withAdminOption']).lower()}"

    def apply(self, connection: Connection, _old: Values | None, wanted: Values, *, resumed: bool = False) -> None:
        """Make one role a member of another; one that stands is made anew."""
        do(connection, "REVOKE {grantRole} FROM {role}", wanted)
        do(connection, "GRANT {grantRole} TO {role}" + " WITH ADMIN OPTION" * wanted["withAdminOption"], wanted)

    def delete(self, connection: Connection, old: Values) -> None:
        """End a membership, where it stands."""
        self.drop(connection, old, "REVOKE {grantRole} FROM {role}")


def _meant(connection: Connection, wanted: Values) -> set[str]:
    """Return the privileges that are wanted, ALL spelled out."""
    new = connection.info.server_version >= 170000
    every = {item for item in PRIVILEGES[wanted["objectType"]] if item != "MAINTAIN" or new}
    return every if "ALL" in wanted["privileges"] else set(wanted["privileges"])
