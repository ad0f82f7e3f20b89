"""Check what must be so before a product's first migration runs: prerequisites, rights, nothing in the way. An edge.

Called under the lock through the runner's `before` hook, while the ledger is empty. Reads the catalogue; only
`make_stand_ins` writes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from infra import products, spelling
from infra.connection import server_message
from infra.errors import ChatdbError, DatabaseError
from infra.migrations import catalogue, foreign_ledgers, snapshot
from infra.migrations.catalogue import Difference, differences
from infra.products import Prerequisite, Product
from infra.words import counted


class PrerequisiteError(ChatdbError):
    """Something that belongs to the application or the server is not as the first migration needs it."""


class PrerequisiteMissingError(PrerequisiteError):
    """A schema, table, column or role that must stand does not."""


class PrerequisiteTypeError(PrerequisiteError):
    """A prerequisite stands, but a foreign key cannot point to it: other type, no unique key, no table."""


class PrerequisitePrivilegeError(PrerequisiteError):
    """The role that migrates lacks a privilege it needs."""


class TableInTheWayError(ChatdbError):
    """A table of the product stands already, while the ledger says that nothing was applied."""

    def __init__(self, message: str, *, detail: str, hint: str, differences: tuple[Difference, ...] = ()) -> None:
        super().__init__(message, detail=detail, hint=hint, state="Nothing was changed.", sqlstate="42P07")
        self.differences = differences


class _Found(NamedTuple):
    """What stands where a prerequisite is looked for."""

    schema: bool
    relkind: str | None
    type: str | None
    unique: bool
    usage: bool
    references: bool
    role: str


# A key of a domain counts as the type beneath it: PostgreSQL compares them so.
_LOOK = """
SELECT n.oid IS NOT NULL, c.relkind::text,
       CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)
            ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
               AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
       coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'REFERENCES'), false),
       current_user::text
FROM (SELECT %(schema)s::text, %(table)s::text, %(column)s::text) AS wanted (schema_name, table_name, column_name)
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.schema_name
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.table_name
                                   AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = wanted.column_name
                                       AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
"""
_MAY_CREATE = """
SELECT current_user::text,
       CASE WHEN n.oid IS NULL THEN pg_catalog.has_database_privilege(current_database(), 'CREATE')
            ELSE pg_catalog.has_schema_privilege(n.oid, 'CREATE') END,
       n.oid IS NULL, current_database()::text
FROM (SELECT %s::text) AS wanted (name) LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.name
"""
# An index and a column's own sequence go with their table.
_OWNED_BY_OTHERS = """
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text,
       format('ALTER TABLE %%I.%%I OWNER TO %%I;', n.nspname, c.relname, current_user)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY(%(relations)s) AND c.relkind IN ('r', 'p', 'v', 'm')
  AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT pg_catalog.pg_get_userbyid(p.proowner)::text,
       format('ALTER ROUTINE %%s OWNER TO %%I;', p.oid::regprocedure, current_user)
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = ANY(%(functions)s) AND NOT pg_catalog.pg_has_role(p.proowner, 'USAGE')
ORDER BY 2
"""
_MISSING_ROLES = """
SELECT wanted FROM unnest(%s::text[]) AS wanted
WHERE wanted NOT IN (SELECT rolname FROM pg_catalog.pg_roles) ORDER BY wanted
"""


def prepare(
    connection: psycopg.Connection[Any], product: Product, *, stand_ins: bool = False, adopt: bool = False
) -> int | None:
    """Do all of this module in its order, as the runner's `before` hook.

    Args:
        connection: The database, as the role that migrates.
        product: The product.
        stand_ins: Whether missing prerequisite tables are made; never in production.
        adopt: Whether tables of ours that stand already are taken over.

    Returns:
        The version at which to baseline, or None where nothing of ours stands.

    Raises:
        PrerequisiteError: a prerequisite is missing or of another shape.
        TableInTheWayError: a table of ours stands and is not taken over.
    """
    if stand_ins:
        make_stand_ins(connection, product)
    check_prerequisites(connection, product)
    return table_in_the_way(connection, product, adopt=adopt)


def check_prerequisites(connection: psycopg.Connection[Any], product: Product) -> None:
    """Return when every prerequisite stands, in the order product.toml gives, and the role may do its work.

    Raises:
        PrerequisiteMissingError: a schema (3F000), table (42P01), key column (42703) or role (42704) is missing.
        PrerequisiteTypeError: the key has another type (42804) or is not unique (42830), or it is no table (42809).
        PrerequisitePrivilegeError: a privilege is missing (42501).
    """
    mistakes: list[PrerequisiteError] = []
    with spelling.alike(connection):
        for prerequisite in product.prerequisites:
            try:
                _check(connection, product, prerequisite)
            except PrerequisiteError as mistake:
                mistakes.append(mistake)
    if mistakes:
        raise _together(mistakes)
    missing = connection.execute(_MISSING_ROLES, [_roles_of_policies(product)]).fetchone()
    if missing:
        role = missing[0]
        why = f"a policy of {product.name} is for {role}, one of its logins"
        hint = f"Create it with `chatdb up`, or by: CREATE ROLE {role} LOGIN PASSWORD '…';"
        raise _missing(f"the role {role} does not exist", why, hint, "42704")
    row = connection.execute(_MAY_CREATE, [product.schema]).fetchone()
    if row and not row[1]:
        where, name = ("DATABASE", row[3]) if row[2] else ("SCHEMA", product.schema)
        raise PrerequisitePrivilegeError(
            f"{row[0]} may not create in the {where.lower()} {name}",
            detail=f"the migrations of {product.name} make tables there",
            hint=f"Grant it: GRANT CREATE ON {where} {name} TO {row[0]};",
            state="Nothing was changed.",
            sqlstate="42501",
        )


def make_stand_ins(connection: psycopg.Connection[Any], product: Product) -> None:
    """Make stand-ins of the prerequisite tables that are missing; what stands is left as it is.

    Raises:
        DatabaseError: the role may not make them.
    """
    try:
        with connection.transaction():
            connection.execute(product.stand_ins_file.read_bytes())
    except psycopg.Error as error:
        raise DatabaseError(
            f"cannot make the stand-in tables of {product.name}",
            detail=server_message(error),
            hint=f"Let the role create in this database, or make the tables of schema/{product.name}/stand_ins.sql.",
            state="Nothing was changed.",
            sqlstate=error.sqlstate,
        ) from None


def table_in_the_way(connection: psycopg.Connection[Any], product: Product, *, adopt: bool = False) -> int | None:
    """Return None where nothing of the product stands, or the version whose shape stands there, to be taken over.

    Args:
        connection: The database.
        product: The product.
        adopt: Whether an equal shape may be taken over.

    Raises:
        TableInTheWayError: another shape stands there (each difference is listed), or an equal one without `adopt`.
    """
    live = snapshot.read_live(connection, product)
    if catalogue.is_empty(live):
        return None
    tables = ", ".join(f"{product.schema}.{name}" for name in live["tables"]) or f"the schema {product.schema}"
    stand = "stand" if len(live["tables"]) > 1 else "stands"
    compared = {version: differences(snapshot.load(product, version), live) for version in snapshot.versions(product)}
    for version in sorted(compared, reverse=True):
        if compared[version]:
            continue
        if adopt:
            _require_ownership(connection, product, live, version)
            return version
        raise TableInTheWayError(
            f"{tables} {stand} already, and no migration of {product.name} is recorded",
            detail=f"the shape is that of version {version:04d}{_evidence(connection)}",
            hint=f"Take over what stands: `chatdb baseline --product {product.name}`, or the setting adopt: true.",
        )
    version = min(compared, key=lambda candidate: (len(compared[candidate]), candidate), default=0)
    found = tuple(compared.get(version, ()))
    if all(difference.attribute == "comment" for difference in found):
        hint = "Only comments differ: set them as the migrations do (COMMENT ON …), then run the same command again."
    else:
        hint = (
            "Mend what is listed, then run the same command again; or move it away, or use another database: "
            f"{product.name} never builds on a table of another shape."
        )
    raise TableInTheWayError(
        f"{tables} {stand} already in another shape than {product.name} has",
        detail=f"{counted(len(found), 'difference')} from version {version:04d}"
        f"{_evidence(connection)}{_owner(live, product)}\n"
        + "\n".join(f"  {difference.sentence}" for difference in found),
        hint=hint,
        differences=found,
    )


def _require_ownership(
    connection: psycopg.Connection[Any], product: Product, live: catalogue.Catalogue, version: int
) -> None:
    """Return where what is to be taken over may be altered by the role that migrates: the next migration will."""
    named = {
        "schema": product.schema,
        "relations": [*live["tables"], *live["views"]],
        "functions": [name.partition("(")[0] for name in live["functions"]],
    }
    found = connection.execute(_OWNED_BY_OTHERS, named).fetchall()
    if found:
        owners = ", ".join(sorted({owner for owner, _ in found}))
        raise TableInTheWayError(
            f"what stands of {product.name} cannot be taken over yet: it belongs to {owners}",
            detail=f"the shape is that of version {version:04d}, and whoever alters a table must own it; the service "
            f"that uses it as {owners} keeps working only with rights of its own{_evidence(connection)}",
            hint=f"As an administrator: {' '.join(statement for _, statement in found)} "
            f"What the service of {owners} needs, grant it in the same transaction.",
        )


def _check(connection: psycopg.Connection[Any], product: Product, wanted: Prerequisite) -> None:
    parameters = {"schema": wanted.schema, "table": wanted.table, "column": wanted.column}
    row = connection.execute(_LOOK, parameters).fetchone()
    found = _Found(*row) if row else _Found(False, None, None, False, False, False, "")  # noqa: FBT003
    key = f"{wanted.name}.{wanted.column}"
    why = f"{product.name} points to {key} ({wanted.type}), a table of its application"
    run = "Run the application's own migrations first"
    first = f"{run}; where it is only for trying out, have stand-ins made: --stand-ins, or the setting standIns: true."
    if not found.schema:
        raise _missing(f"the schema {wanted.schema} does not exist", why, first, "3F000")
    if found.relkind is None:
        raise _missing(f"the table {wanted.name} does not exist", why, first, "42P01")
    if found.relkind not in ("r", "p"):
        raise _mistyped(f"{wanted.name} is not a table", why, "Name the table behind it: a key needs one.", "42809")
    if found.type is None:
        raise _missing(f"the table {wanted.name} has no column {wanted.column}", why, f"{run}.", "42703")
    if _family(found.type) != _family(wanted.type):
        raise _mistyped(
            f"{key} is {found.type}, and {product.name} needs {wanted.type}",
            f"expected {wanted.type}, actual {found.type}: a foreign key compares equal types only",
            f"Check that this is the database of {product.name}: another product's {wanted.table} may have another "
            "key type.",
            "42804",
        )
    if not found.unique:
        hint = f"Give it one: ALTER TABLE {wanted.name} ADD PRIMARY KEY ({wanted.column});"
        raise _mistyped(f"{key} has no primary or unique key", why, hint, "42830")
    if not (found.usage and found.references):
        grants = [] if found.usage else [f"GRANT USAGE ON SCHEMA {wanted.schema} TO {found.role};"]
        grants += [] if found.references else [f"GRANT REFERENCES ({wanted.column}) ON {wanted.name} TO {found.role};"]
        raise PrerequisitePrivilegeError(
            f"{found.role} may not point a foreign key to {key}",
            detail=why,
            hint=f"As the owner of {wanted.name}: {' '.join(grants)}",
            state="Nothing was changed.",
            sqlstate="42501",
        )


def _together(mistakes: list[PrerequisiteError]) -> PrerequisiteError:
    """Return them as one error, of the first one's kind, so that one answer serves for all."""

    def joined(part: str, by: str) -> str:
        return by.join(dict.fromkeys(getattr(mistake, part) for mistake in mistakes))

    kind, first = type(mistakes[0]), mistakes[0]
    parts = {"detail": joined("detail", "; "), "hint": joined("hint", " "), "state": first.state}
    return kind(joined("message", "; "), **parts, sqlstate=first.sqlstate)


def _missing(message: str, detail: str, hint: str, sqlstate: str) -> PrerequisiteMissingError:
    return PrerequisiteMissingError(message, detail=detail, hint=hint, state="Nothing was changed.", sqlstate=sqlstate)


def _mistyped(message: str, detail: str, hint: str, sqlstate: str) -> PrerequisiteTypeError:
    return PrerequisiteTypeError(message, detail=detail, hint=hint, state="Nothing was changed.", sqlstate=sqlstate)


def _family(type_name: str) -> str:
    """Return the type without its length; text and varchar compare with each other in a foreign key."""
    plain = type_name.partition("(")[0].strip()
    return "text" if plain == "character varying" else plain


def _roles_of_policies(product: Product) -> list[str]:
    """Return the roles that the newest version's policies are for; PUBLIC is none."""
    tables = snapshot.load(product, snapshot.newest(product))["tables"].values()
    named = {role for table in tables for policy in table["policies"].values() for role in policy["roles"]}
    return sorted(named - {"public"})


def _evidence(connection: psycopg.Connection[Any]) -> str:
    """Return a clause that names other tools' records, empty where there are none."""
    said = foreign_ledgers.sentence(foreign_ledgers.read(connection))
    return f"; {said}" if said else ""


def _owner(live: catalogue.Catalogue, product: Product) -> str:
    """Return a clause that names the other products whose columns these are, empty where there are none."""
    for name in products.names(product.folder.parent):
        other = products.load(name, product.folder.parent)
        if name == product.name or other.schema != product.schema:
            continue
        theirs = snapshot.load(other, snapshot.newest(other))["tables"]
        shared = [table for table in live["tables"] if table in theirs]
        if shared and all(list(theirs[table]["columns"]) == list(live["tables"][table]["columns"]) for table in shared):
            return f"; its columns are those of {name}"
    return ""
