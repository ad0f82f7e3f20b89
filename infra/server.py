"""The PostgreSQL server a stack uses: given by settings, or the embedded one by the file it writes.

Declares the provider of pulumi-postgresql. Called by `__main__`; never imports `embedded`: that file is the contact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from infra.errors import SettingsError
from infra.products import PROJECT_ROOT
from infra.settings import StackSettings


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the databases are and how to reach them.

    Attributes:
        provider: Makes databases, roles, schemas and grants there, as the administrator.
        host: Host name or address.
        port: TCP port.
        username: The administrator.
        superuser: Whether the administrator is a superuser.
        ssl_mode: libpq's sslmode.
        ssl_root_cert: CA file; empty for libpq's default.
        password: The administrator's password, a secret.
        maintenance_database: Database the administrator connects to.
    """

    provider: postgresql.Provider
    host: str
    port: int
    username: str
    superuser: bool
    ssl_mode: str
    ssl_root_cert: str
    password: pulumi.Output[str]
    maintenance_database: str

    def administrator(self) -> dict[str, Any]:
        """Return the connection of a dynamic resource that works as the administrator; its password is a secret."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.maintenance_database,
            "user": self.username,
            "password": self.password,
            "sslMode": self.ssl_mode,
            "sslRootCert": self.ssl_root_cert,
        }


@dataclass(frozen=True, kw_only=True)
class Address:
    """Host, port and administrator, from whichever source the settings name."""

    host: str
    port: int
    username: str
    password: str
    superuser: bool
    ssl_mode: str


def address(settings: StackSettings, *, root: Path = PROJECT_ROOT) -> Address:
    """Return how to reach the server.

    Args:
        settings: The stack's settings.
        root: Folder that a relative `serverFile` starts from.

    Raises:
        SettingsError: `serverFile` is named and is not there or cannot be read.
    """
    if not settings.server_file:
        return Address(
            host=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password.get_secret_value(),
            superuser=settings.superuser,
            ssl_mode=settings.ssl_mode,
        )
    file = root / settings.server_file
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Address(
            host=found["host"],
            port=int(found["port"]),
            username=found["username"],
            password=found["password"],
            superuser=bool(found["superuser"]),
            ssl_mode="disable",  # loopback only: the embedded server has no certificate
        )
    except FileNotFoundError:
        raise SettingsError(
            "the embedded server has not been started",
            detail=f"serverFile {settings.server_file} does not exist",
            hint="Run `chatdb server start` (or `make up`), or set chatdb:host to a server of your own.",
            state="Nothing was changed.",
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            "the embedded server's file cannot be read",
            detail=f"serverFile {settings.server_file}: {type(error).__name__} {error}",
            hint="Run `chatdb server start` as the user who made it; it writes the file anew.",
            state="Nothing was changed.",
        ) from None


def declare_server(settings: StackSettings) -> Server:
    """Declare the provider for the stack's server and return where it is."""
    found = address(settings)
    password = pulumi.Output.secret(found.password)
    provider = postgresql.Provider(
        "server",
        host=found.host,
        port=found.port,
        username=found.username,
        password=password,
        database=settings.maintenance_database,
        superuser=found.superuser,
        sslmode=found.ssl_mode,
        sslrootcert=settings.ssl_root_cert or None,
        connect_timeout=15,
    )
    return Server(
        provider=provider,
        host=found.host,
        port=found.port,
        username=found.username,
        superuser=found.superuser,
        ssl_mode=found.ssl_mode,
        ssl_root_cert=settings.ssl_root_cert,
        password=password,
        maintenance_database=settings.maintenance_database,
    )
