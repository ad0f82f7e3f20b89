"""Settings of login roles that pulumi-postgresql's Role does not know: timeouts, and wal_compression for the migrator.

One dynamic resource per product, as the administrator. PostgreSQL applies a role's settings at login, to that role
alone and not to its members. Called by `infra.roles`. `RoleSettingsProvider` stands in state: never rename it.

Source: https://www.postgresql.org/docs/18/runtime-config-client.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import pulumi
from psycopg import sql
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra.connection import connect, explained
from infra.migrations.gentle import COMPRESSION, may_compress
from infra.provider import CONNECTION_KEYS, PlainErrorProvider, changed_keys, target_of

# The release that brought a setting, as server_version_num; the others are older than every release in use.
SINCE = {"transaction_timeout": 170_000}


class RoleSettingsProvider(PlainErrorProvider):
    """Sets what is wanted, resets what was wanted before, and reads what there is."""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for an update where a setting or the connection changed."""
        return DiffResult(changes=bool(changed_keys(_olds, _news, (*CONNECTION_KEYS, "settings"))))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Set all of it."""
        _apply(props, former={})
        return CreateResult(f"{props['product']}-role-settings", props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Set all of it and reset what is not wanted any more."""
        _apply(_news, former=_olds.get("settings", {}))
        return UpdateResult(_news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Report what is set, of what this resource sets."""
        target = target_of(props)
        with explained("cannot read the settings of roles", target), connect(target) as connection:
            live = {role: _live(connection, role, wanted) for role, wanted in props["settings"].items()}
        return ReadResult(id_, {**props, "settings": live})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the settings: they go with their role, and a role without limits is worse than one with."""


def _settable(connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether the server knows the setting and the administrator may set it."""
    version = connection.info.server_version
    if name == "wal_compression":
        row = connection.execute(f"SELECT {may_compress(version)}".encode()).fetchone()
        return row == (True,)
    return version >= SINCE.get(name, 0)


def _value(connection: psycopg.Connection[Any], name: str, wanted: str) -> str:
    """Return what is set for what is wanted: a server built without lz4 compresses its WAL by what it has."""
    if name != "wal_compression":
        return wanted
    query = f"SELECT {COMPRESSION} FROM pg_settings WHERE name = %s"  # noqa: S608 - a constant
    row = connection.execute(query.encode(), [name]).fetchone()
    return str(row[0]) if row else wanted


def _apply(props: dict[str, Any], *, former: Mapping[str, Mapping[str, str]]) -> None:
    target = target_of(props)
    state = "The settings are as they were; run again to go on."
    with (
        explained(f"cannot set the settings of {props['product']}'s roles", target, state=state),
        connect(target) as connection,
        connection.transaction(),
    ):
        for role, wanted in props["settings"].items():
            for name in sorted({*former.get(role, {}), *wanted}):
                if not _settable(connection, name):
                    continue
                change = sql.SQL("RESET {}").format(sql.Identifier(name))
                if name in wanted:
                    value = sql.Literal(_value(connection, name, wanted[name]))
                    change = sql.SQL("SET {} = {}").format(sql.Identifier(name), value)
                connection.execute(sql.SQL("ALTER ROLE {} ").format(sql.Identifier(role)) + change)


def _live(connection: psycopg.Connection[Any], role: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the wanted settings as they are; one that cannot be set, or by another word only, counts as set."""
    row = connection.execute(
        "SELECT s.setconfig FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole "
        "WHERE r.rolname = %s AND s.setdatabase = 0",
        [role],
    ).fetchone()
    found = dict(entry.split("=", 1) for entry in (row[0] if row else ()))
    live = {}
    for name, value in wanted.items():
        if not _settable(connection, name) or found.get(name) == _value(connection, name, value):
            live[name] = value
        elif name in found:
            live[name] = found[name]
    return live


class RoleSettings(Resource, module="chatdb", name="RoleSettings"):
    """Settings of a product's login roles.

    Args:
        name: Name of the resource.
        product: The product.
        connection: The server as the administrator, by `CONNECTION_KEYS`; the password is a secret.
        settings: For each role its settings by name, each with its unit: {"lyra_app": {"lock_timeout": "3000ms"}}.
        opts: Options of the resource.
    """

    def __init__(
        self,
        name: str,
        *,
        product: str,
        connection: Mapping[str, Any],
        settings: Mapping[str, Mapping[str, str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {**connection, "product": product, "settings": {role: dict(one) for role, one in settings.items()}}
        super().__init__(RoleSettingsProvider(), name, props, opts)
