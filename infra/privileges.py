"""Who may do what, as plain data that a reviewer can read. Pure.

`TABLES` and the three functions below are the whole list; what is not in it is not granted. `infra.grants` declares it.
TRUNCATE, REFERENCES and TRIGGER are given to nobody: they go round row security and foreign keys.

A product has an analytics role where a table of its holds figures without content: counts, costs, categories. No column
of such a table is what a person wrote, so the role reads all of it and nothing else; a message's text, a session's
token or address is never among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from infra.naming import RoleNames  # which asks this module who there is

PUBLIC = "public"  # the plugin's name for PostgreSQL's PUBLIC, which is every role
RoleKind = Literal["app", "readonly", "analytics"]
Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]

READ: tuple[Privilege, ...] = ("SELECT",)
APPEND: tuple[Privilege, ...] = ("INSERT", "SELECT")
AMEND: tuple[Privilege, ...] = ("INSERT", "SELECT", "UPDATE")
MANAGE: tuple[Privilege, ...] = ("DELETE", "INSERT", "SELECT", "UPDATE")


@dataclass(frozen=True, kw_only=True)
class TableGrant:
    """Privileges of one kind of role on some tables of a product, named without their schema."""

    role: RoleKind
    tables: tuple[str, ...]
    privileges: tuple[Privilege, ...]


TABLES: dict[str, tuple[TableGrant, ...]] = {
    # Messages are said once and read back.
    "lyra": (TableGrant(role="app", tables=("chat_messages",), privileges=APPEND),),
    # A session counts its messages and ends; a shopper may have it deleted, which takes the rest by cascade.
    "storefront": (
        TableGrant(role="app", tables=("chat_sessions",), privileges=MANAGE),
        TableGrant(role="app", tables=("chat_messages",), privileges=APPEND),
        TableGrant(role="app", tables=("chat_analytics",), privileges=AMEND),
        # The products are the shop's own, the query type is one of the service's: what a shopper typed is in neither.
        TableGrant(role="analytics", tables=("chat_analytics",), privileges=READ),
    ),
    # A question and its answer are written together and read back.
    "robotics": (TableGrant(role="app", tables=("chats",), privileges=APPEND),),
    # Row security limits each of these to the rows of the current user.
    "futureguide": (
        TableGrant(role="app", tables=("conversations", "messages", "usage_tracking"), privileges=MANAGE),
        # Tokens and costs of every user: migration 0003 has the policy that lets these rows through, for reading alone.
        TableGrant(role="analytics", tables=("usage_tracking",), privileges=READ),
    ),
    # A chat is renamed and deleted; its messages go by cascade.
    "insights": (
        TableGrant(role="app", tables=("chats",), privileges=MANAGE),
        TableGrant(role="app", tables=("chat_messages",), privileges=APPEND),
    ),
}


def tables_of(product: str, role: RoleKind) -> tuple[str, ...]:
    """Return the tables on which a product's own grants give a kind of role something; none for an unknown product."""
    return tuple(table for grant in TABLES.get(product, ()) if grant.role == role for table in grant.tables)


def table_grants(product: str, tables: tuple[str, ...]) -> tuple[TableGrant, ...]:
    """Return every table grant of a product: its own, and reading for the readonly role.

    Args:
        product: Name of the product.
        tables: All its tables.
    """
    return (*TABLES[product], TableGrant(role="readonly", tables=tables, privileges=READ))


@dataclass(frozen=True, kw_only=True)
class ObjectGrant:
    """All privileges of a role on one database or schema; whatever else the role had there is revoked.

    Attributes:
        kind: "database" or "schema".
        schema: Name of the schema; empty for the database.
        role: Name of the role, or PUBLIC.
        privileges: What it may; empty for nothing.
    """

    kind: Literal["database", "schema"]
    schema: str
    role: str
    privileges: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DefaultGrant:
    """Privileges of a role on what the owner will create.

    Attributes:
        kind: "table" or "function".
        schema: Only in this schema; empty for every schema, which revoking from PUBLIC needs.
        role: Name of the role, or PUBLIC.
        privileges: What it may; empty for nothing.
    """

    kind: Literal["table", "function"]
    schema: str
    role: str
    privileges: tuple[str, ...]


def object_grants(names: RoleNames, schema: str) -> tuple[ObjectGrant, ...]:
    """Return who may enter a product's database and its schema.

    The owner needs a grant in `public` alone: before PostgreSQL 15 that schema is the first superuser's, later it is
    pg_database_owner's. Everything else there is its own.

    Args:
        names: The product's roles.
        schema: Schema of its tables.
    """
    served = tuple(names.serving.values())
    making = ObjectGrant(kind="schema", schema=schema, role=names.owner, privileges=("CREATE", "USAGE"))
    owners = (making,) if schema == "public" else ()
    return (
        ObjectGrant(kind="database", schema="", role=PUBLIC, privileges=()),
        *(ObjectGrant(kind="database", schema="", role=role, privileges=("CONNECT",)) for role in served),
        *owners,
        # Before PostgreSQL 15 everyone could create there (CVE-2018-1058).
        ObjectGrant(kind="schema", schema="public", role=PUBLIC, privileges=("USAGE",)),
        *(ObjectGrant(kind="schema", schema=schema, role=role, privileges=("USAGE",)) for role in served),
    )


def default_grants(names: RoleNames, schema: str) -> tuple[DefaultGrant, ...]:
    """Return what holds for objects that the owner will create: as `object_grants`."""
    return (
        # PostgreSQL lets everyone execute a new function: not one of ours.
        DefaultGrant(kind="function", schema="", role=PUBLIC, privileges=()),
        DefaultGrant(kind="table", schema=schema, role=names.readonly, privileges=("SELECT",)),
    )
