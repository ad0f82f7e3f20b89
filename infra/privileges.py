"""Who may do what, as plain data that a reviewer can read. Pure.

`TABLES` is the whole table privilege list; what is not in it is not granted. Used by `infra.access` to declare grants.
TRUNCATE, REFERENCES and TRIGGER are given to nobody: they go round row security and foreign keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RoleKind = Literal["app", "readonly"]
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
    ),
    # A question and its answer are written together and read back.
    "robotics": (TableGrant(role="app", tables=("chats",), privileges=APPEND),),
    # Row security limits each of these to the rows of the current user.
    "futureguide": (
        TableGrant(role="app", tables=("conversations", "messages", "usage_tracking"), privileges=MANAGE),
    ),
    # A chat is renamed and deleted; its messages go by cascade.
    "insights": (
        TableGrant(role="app", tables=("chats",), privileges=MANAGE),
        TableGrant(role="app", tables=("chat_messages",), privileges=APPEND),
    ),
}


def table_grants(product: str, tables: tuple[str, ...]) -> tuple[TableGrant, ...]:
    """Return every table grant of a product: its own, and reading for the readonly role.

    Args:
        product: Name of the product.
        tables: All its tables.
    """
    return (*TABLES[product], TableGrant(role="readonly", tables=tables, privileges=READ))
