"""Settings of login roles as a dynamic resource, called as Pulumi calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql

from embedded.server import ServerFile
from infra.connection import connect
from infra.errors import DatabaseError
from infra.role_settings import RoleSettingsProvider
from tests.support.postgres import unique

provider = RoleSettingsProvider()


def inputs(server: ServerFile, settings: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return what the program gives."""
    return {
        "product": "lyra",
        "host": server.host,
        "port": server.port,
        "database": "postgres",
        "user": server.username,
        "password": server.password,
        "sslMode": "disable",
        "sslRootCert": "",
        "settings": settings,
    }


def live(server: ServerFile, role: str) -> list[str]:
    with connect(server.target()) as connection:
        rows = connection.execute("SELECT unnest(rolconfig) FROM pg_roles WHERE rolname = %s ORDER BY 1", [role])
        return [entry for (entry,) in rows.fetchall()]


@pytest.fixture(params=["superuser", "managed"])
def administrator(request: pytest.FixtureRequest, server: ServerFile, managed_admin: ServerFile) -> ServerFile:
    """The server as either kind of administrator."""
    return server if request.param == "superuser" else managed_admin


@pytest.fixture
def role(administrator: ServerFile) -> Iterator[str]:
    """A login role that the administrator made."""
    name = unique("login")
    with connect(administrator.target()) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    with connect(administrator.target()) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_create_sets_and_update_sets_anew_and_resets(administrator: ServerFile, role: str) -> None:
    """What is wanted is set for the role; what is not wanted any more goes back to the server's default."""
    first = inputs(administrator, {role: {"lock_timeout": "3000ms", "transaction_timeout": "120000ms"}})
    provider.create(first)
    assert live(administrator, role) == ["lock_timeout=3000ms", "transaction_timeout=120000ms"]
    second = inputs(administrator, {role: {"lock_timeout": "1000ms"}})
    assert provider.diff("id", first, second).changes is True
    provider.update("id", first, second)
    assert live(administrator, role) == ["lock_timeout=1000ms"]


def test_equal_inputs_are_no_change(administrator: ServerFile, role: str) -> None:
    """Nothing is done twice."""
    wanted = inputs(administrator, {role: {"lock_timeout": "3000ms"}})
    assert provider.diff("id", wanted, dict(wanted)).changes is False


def test_read_reports_a_setting_that_somebody_took_away(administrator: ServerFile, role: str) -> None:
    """A refresh finds it, and the next update puts it back."""
    wanted = inputs(administrator, {role: {"lock_timeout": "3000ms"}})
    provider.create(wanted)
    assert provider.read("id", wanted).outs == wanted
    with connect(administrator.target()) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} RESET lock_timeout").format(sql.Identifier(role)))
    outs = provider.read("id", wanted).outs
    assert outs is not None
    assert outs["settings"] == {role: {}}
    assert provider.diff("id", outs, wanted).changes is True


def test_a_setting_that_the_server_does_not_know_is_left_out(major_server: Callable[[int], ServerFile]) -> None:
    """transaction_timeout came with PostgreSQL 17; on 16 the other settings are made and nothing differs after."""
    server, name = major_server(16), unique("login")
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    wanted = inputs(server, {name: {"lock_timeout": "3000ms", "transaction_timeout": "120000ms"}})
    provider.create(wanted)
    assert live(server, name) == ["lock_timeout=3000ms"]
    assert provider.read("id", wanted).outs == wanted


def test_what_the_administrator_may_not_set_is_left_out(administrator: ServerFile, role: str) -> None:
    """wal_compression is a superuser's: a managed administrator leaves it, and nothing differs after."""
    wanted = inputs(administrator, {role: {"lock_timeout": "3000ms", "wal_compression": "lz4"}})
    provider.create(wanted)
    superusers = ["wal_compression=on"] if administrator.superuser else []
    assert live(administrator, role) == ["lock_timeout=3000ms", *superusers]
    assert provider.read("id", wanted).outs == wanted
    provider.update("id", wanted, inputs(administrator, {role: {}}))
    assert live(administrator, role) == []


def test_a_role_that_is_not_there_is_an_error_in_our_form(server: ServerFile) -> None:
    """With what to do, and nothing set."""
    with pytest.raises(DatabaseError, match="cannot set the settings of lyra's roles") as caught:
        provider.create(inputs(server, {"nobody_here": {"lock_timeout": "3000ms"}}))
    assert caught.value.sqlstate == "42704"
    assert 'role "nobody_here" does not exist' in caught.value.detail
