"""Look on a server for what a stack may take over: what a destroyed one kept, or a database from before any. An edge.

Called by `cli.returning`. Only a database whose ledger says that this very stack wrote it last is taken for kept; one
whose logins are open belongs to somebody who uses it. A database from before any stack has none of the product's roles.
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.connection import Target, connect
from infra.migrations import ledger

_OWNED = "SELECT FROM pg_database WHERE datname = %s AND datdba = to_regrole(quote_ident(%s))"
_OWNER = """
SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = %s AND encoding = pg_char_to_encoding('UTF8')
"""
_ROLES = "SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1"


def roles(administrator: Target, *, database: str, owner: str, logins: Sequence[str], stack: str) -> list[str]:
    """Return the roles that stand of a kept product, the owner among them; none where nothing is kept.

    Args:
        administrator: The server as its administrator.
        database: Name of the product's database.
        owner: Role that owns it.
        logins: Every role that may ever log in for the product.
        stack: The stack that would come back to it.

    Raises:
        ChatdbError: the server cannot be asked, or the ledger may not be read.
    """
    with connect(administrator) as connection:
        if not connection.execute(_OWNED, [database, owner]).rowcount:
            return []
        found = connection.execute(_ROLES, [[owner, *logins]]).fetchall()
    if any(may_log_in for _, may_log_in in found):
        return []
    with connect(administrator.to(database=database, role=owner)) as connection:
        rows = ledger.read(connection)
    return [str(name) for name, _ in found] if rows and rows[-1].stack == stack else []


def owner_before(administrator: Target, *, database: str, roles: Sequence[str]) -> str:
    """Return who owns a database that was there before any stack; empty where there is none that could be taken over.

    One of another encoding could not: PostgreSQL cannot change it. Nor one beside a role of that name, whose password
    may be in use.

    Args:
        administrator: The server as its administrator.
        database: Name of the product's database.
        roles: Every role that a stack would make for the product.

    Raises:
        ChatdbError: the server cannot be asked.
    """
    with connect(administrator) as connection:
        found = connection.execute(_OWNER, [database]).fetchone()
        if found is None or connection.execute(_ROLES, [list(roles)]).rowcount:
            return ""
    return str(found[0])
