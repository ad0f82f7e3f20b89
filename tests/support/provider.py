"""The embedded postgresql provider for the tests, and what a test asks it and the server in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from embedded.engine.postgresql import PostgresqlProvider
from embedded.server import ServerFile
from infra.connection import Target, connect

DATABASE = "postgresql:index/database:Database"
ROLE = "postgresql:index/role:Role"
GRANT_ROLE = "postgresql:index/grantRole:GrantRole"
SCHEMA = "postgresql:index/schema:Schema"
GRANT = "postgresql:index/grant:Grant"
DEFAULT_PRIVILEGES = "postgresql:index/defaultPrivileges:DefaultPrivileges"


def config(server: ServerFile) -> dict[str, str]:
    """Return the provider resource's inputs as a stack's state holds them: JSON text."""
    return {
        "host": server.host,
        "port": str(server.port),
        "username": server.username,
        "password": server.password,
        "sslmode": "disable",
        "superuser": "true" if server.superuser else "false",
    }


@contextmanager
def provider_of(server: ServerFile) -> Iterator[PostgresqlProvider]:
    """Give a provider for a server for the length of the block."""
    provider = PostgresqlProvider(config(server))
    try:
        yield provider
    finally:
        provider.close()


def rows(target: Target, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return what a query gives, over a connection of its own."""
    with connect(target) as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()


def statements(target: Target, text: str) -> None:
    """Run statements over a connection of its own."""
    with connect(target) as connection:
        connection.execute(text.encode())


def make(provider: PostgresqlProvider, type_: str, **inputs: Any) -> tuple[str, dict[str, Any]]:
    """Check inputs, which must be without fault, and make the resource; return its id and outputs."""
    checked, failures = provider.check(type_, {}, inputs)
    assert failures == []
    return provider.create(type_, checked)


def now(provider: PostgresqlProvider, type_: str, **inputs: Any) -> dict[str, Any] | None:
    """Return the inputs as a refresh would find them; None where the resource is gone."""
    id_, found, _ = provider.read(type_, "", inputs, {})
    return None if id_ is None else found


def change(provider: PostgresqlProvider, type_: str, old: dict[str, Any], **new: Any) -> tuple[str, ...]:
    """Update a resource from old inputs to those with some replaced; return the names of what differed."""
    news = {**old, **new}
    diff = provider.diff(type_, "", old, {}, news)
    assert diff.replaces == ()
    provider.update(type_, "", old, {}, news)
    return diff.changed
