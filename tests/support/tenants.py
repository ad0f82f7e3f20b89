"""Two users of futureguide whose transactions interleave, and what must hold after every step of either.

Called by tests/database/test_tenants.py. A step is an operation of one user; the identity is set in each transaction
as the service sets it: `set_config('app.current_user_id', …, true)`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

A, B = uuid.UUID(int=0xA), uuid.UUID(int=0xB)
TABLES = ("conversations", "messages", "usage_tracking")
IDENTITIES = ("own", "missing", "empty", "malformed")
ENDS = ("commit", "rollback", "error")
REFUSED = (
    psycopg.errors.InsufficientPrivilege,  # a row for somebody else: 42501
    psycopg.errors.InvalidTextRepresentation,  # an identity that is none: 22P02
    psycopg.errors.FeatureNotSupported,  # COPY FROM on a table with row security: 0A000
    psycopg.errors.LockNotAvailable,  # the other's transaction has the row, or its key
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.DivisionByZero,
    psycopg.errors.InFailedSqlTransaction,
)


@dataclass
class User:
    """One user with a session of its own, and the transaction it is in.

    Attributes:
        id: Who it is.
        session: Its connection to the service's login.
        identity: What its transaction was told who it is; None outside of one.
    """

    id: uuid.UUID
    session: psycopg.Connection[Any]
    identity: str | None = None


def key(user: uuid.UUID) -> uuid.UUID:
    """Return the key of the rows that a user has at the beginning, one in each table."""
    return uuid.UUID(int=user.int * 0x1000)


def _query(user: User, table: str, query: str, **values: Any) -> list[Any]:
    done = user.session.execute(query.replace("TABLE", f"chat.{table}").encode(), values)
    return done.fetchall() if done.description else []


def _insert(
    user: User,
    table: str,
    *,
    owner: uuid.UUID,
    of: uuid.UUID,
    id_: uuid.UUID,
    tail: str = "",
    returning: str = "RETURNING user_id",
) -> list[Any]:
    """Insert a row that says it is the owner's, into the first conversation of a user, and return its owner."""
    columns = {
        "conversations": "(id, user_id) VALUES (%(id)s, %(owner)s)",
        "messages": "(id, user_id, conversation_id, sender_type, content) "
        "VALUES (%(id)s, %(owner)s, %(of)s, 'user', 'x')",
        "usage_tracking": "(id, user_id, conversation_id, model_used) VALUES (%(id)s, %(owner)s, %(of)s, 'm')",
    }
    query = f"INSERT INTO TABLE {columns[table]} {tail} {returning}"
    return _query(user, table, query, id=id_, owner=owner, of=key(of))


def _copy_out(user: User, _other: uuid.UUID, table: str) -> list[Any]:
    with user.session.cursor().copy(f"COPY chat.{table} (user_id) TO STDOUT".encode()) as copied:
        return list(copied.rows())


def _copy_in(user: User, other: uuid.UUID, table: str) -> list[Any]:
    with user.session.cursor().copy(f"COPY chat.{table} (user_id) FROM STDIN".encode()) as copied:
        copied.write_row([other])
    return [(other,)]


def _intrude(user: User, other: uuid.UUID, table: str) -> list[Any]:
    """Write into a conversation of the other, as oneself: the composite key refuses it, or row security before it."""
    inside = "messages" if table == "conversations" else table
    _insert(user, inside, owner=user.id, of=other, id_=uuid.uuid4())
    raise AssertionError(f"{user.id} wrote into a conversation of {other}")


def _give_away(user: User, other: uuid.UUID, table: str) -> list[Any]:
    """Make every row that can be reached the other's: without WHERE and RETURNING, the check alone stands before it."""
    done = user.session.execute(f"UPDATE chat.{table} SET user_id = %s".encode(), [other])
    return [(other,)] * done.rowcount


CHANGE = "ON CONFLICT (id) DO UPDATE SET created_at = now()"
# What a user may do: each returns rows, which must all be its own. They begin with their owner.
OPERATIONS: dict[str, Callable[[User, uuid.UUID, str], list[Any]]] = {
    "select": lambda user, _, table: _query(user, table, "SELECT user_id FROM TABLE ORDER BY created_at"),
    "count": lambda user, other, table: _query(
        user, table, "SELECT user_id FROM TABLE WHERE user_id = %(other)s OR id = %(id)s", other=other, id=key(other)
    ),
    "subselect": lambda user, _, table: _query(
        user, table, "SELECT v.user_id FROM (SELECT * FROM TABLE OFFSET 0) AS v"
    ),
    "copy out": _copy_out,
    "copy in": _copy_in,
    "insert": lambda user, _, table: _insert(user, table, owner=user.id, of=user.id, id_=uuid.uuid4()),
    # Without RETURNING, which asks the policy once more.
    "insert for the other": lambda user, other, table: (
        _insert(user, table, owner=other, of=other, id_=uuid.uuid4(), returning="") or [(other,)]
    ),
    "insert into the other's conversation": _intrude,
    "upsert": lambda user, _, table: _insert(user, table, owner=user.id, of=user.id, id_=key(user.id), tail=CHANGE),
    "upsert over the other's": lambda user, other, table: _insert(
        user, table, owner=user.id, of=user.id, id_=key(other), tail=CHANGE
    ),
    "insert unless the other has it": lambda user, other, table: _insert(
        user, table, owner=user.id, of=user.id, id_=key(other), tail="ON CONFLICT DO NOTHING"
    ),
    "update": lambda user, _, table: _query(user, table, "UPDATE TABLE SET created_at = now() RETURNING user_id"),
    "update the other's": lambda user, other, table: _query(
        user, table, "UPDATE TABLE SET created_at = now() WHERE id = %(id)s RETURNING user_id", id=key(other)
    ),
    "give away": _give_away,
    "delete": lambda user, _, table: _query(user, table, "DELETE FROM TABLE RETURNING user_id"),
    "delete the other's": lambda user, other, table: _query(
        user, table, "DELETE FROM TABLE WHERE id = %(id)s RETURNING user_id", id=key(other)
    ),
}


@dataclass
class World:
    """Two users, the eye of a superuser, and the rules.

    Attributes:
        users: By who they are.
        eye: Sees every committed row.
        refused: How often each kind of refusal came, so that a test can tell that it tried.
        seen: How many rows the users saw.
    """

    users: dict[uuid.UUID, User]
    eye: psycopg.Connection[Any]
    refused: dict[str, int] = field(default_factory=dict)
    seen: int = 0

    def reset(self) -> None:
        """Put every session outside of a transaction and give each user one conversation with a message and usage."""
        for user in self.users.values():
            user.session.rollback()
            user.identity = None
        self.eye.execute("DELETE FROM auth.users")
        for user_id in self.users:
            self.eye.execute("INSERT INTO auth.users VALUES (%s)", [user_id])
            self.eye.execute("INSERT INTO chat.conversations (id, user_id) VALUES (%s, %s)", [key(user_id), user_id])
            self.eye.execute(
                "INSERT INTO chat.messages (id, conversation_id, user_id, sender_type, content) "
                "VALUES (%(id)s, %(id)s, %(user)s, 'user', 'hello')",
                {"id": key(user_id), "user": user_id},
            )
            self.eye.execute(
                "INSERT INTO chat.usage_tracking (id, conversation_id, message_id, user_id, model_used) "
                "VALUES (%(id)s, %(id)s, %(id)s, %(user)s, 'm')",
                {"id": key(user_id), "user": user_id},
            )

    def rows(self, user: uuid.UUID) -> list[Any]:
        """Return every committed row of a user, as text."""
        query = " UNION ALL ".join(
            f"SELECT t::text FROM chat.{table} AS t WHERE user_id = %(user)s" for table in TABLES
        )
        return sorted(row[0] for row in self.eye.execute(query.encode(), {"user": user}))

    def step(self, who: uuid.UUID, identity: str, operation: str, table: str, end: str) -> None:
        """Let a user do one thing, in its transaction or a new one, and assert that the other's rows are untouched.

        Args:
            who: The user.
            identity: How a new transaction is told who it is.
            operation: What it does; its own, or the other's, row is the first conversation with what belongs to it.
            table: On which table.
            end: How the transaction ends afterwards; empty where it goes on.
        """
        user, other = self.users[who], B if who == A else A
        before = self.rows(other)
        try:
            if user.identity is None:
                self._begin(user, identity)
            self._saw(user, OPERATIONS[operation](user, other, table))
            if end == "error":
                user.session.execute("SELECT 1 / 0")
        except REFUSED as error:
            name = f"{operation}: {type(error).__name__}"
            self.refused[name] = self.refused.get(name, 0) + 1
            end = "rollback"
        if end:
            user.session.commit() if end == "commit" else user.session.rollback()
            user.identity = None
        assert self.rows(other) == before, f"{operation} on {table} changed rows of the other user"

    def _begin(self, user: User, identity: str) -> None:
        told = {"own": str(user.id), "empty": "", "malformed": f"{user.id}'x"}.get(identity)
        user.identity = identity
        user.session.execute("SELECT set_config('lock_timeout', '20ms', true)")
        if told is not None:
            user.session.execute("SELECT set_config('app.current_user_id', %s, true)", [told])
        if identity != "own":
            with suppress(psycopg.errors.InvalidTextRepresentation), user.session.transaction():
                assert user.session.execute("SELECT * FROM chat.messages").fetchall() == []
            return
        # A transaction of its own has everything that is its own, and that alone.
        mine = {row[0] for row in user.session.execute("SELECT id FROM chat.conversations")}
        query = "SELECT id FROM chat.conversations WHERE user_id = %s"
        assert mine == {row[0] for row in self.eye.execute(query, [user.id])}

    def _saw(self, user: User, rows: Sequence[tuple[Any, ...]]) -> None:
        """Assert that rows, which begin with their user, are the user's; nobody's where it is not said who it is."""
        owners = {str(row[0]) for row in rows}
        assert owners <= ({str(user.id)} if user.identity == "own" else set()), f"{user.id} saw rows of {owners}"
        self.seen += len(rows)
