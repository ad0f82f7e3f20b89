"""The PostgreSQL server a stack uses: given by settings, by a secret of AWS, or the embedded one by the file it writes.

Declares the provider of pulumi-postgresql. Called by `__main__`; never imports `embedded`: that file is the contact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from infra.address import address
from infra.aws import Access
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
        password: The administrator's password, a secret; empty where tokens stand in for it.
        maintenance_database: Database the administrator connects to.
        iam: How AWS is reached for the tokens that the administrator and the migrators log in by; None for passwords.
        secret_arn: ARN of the administrator's secret; empty where the administrator has none.
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
    iam: Access | None
    secret_arn: str

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
            **self.tokens(),
        }

    def tokens(self) -> dict[str, Any]:
        """Return what a login without a password has in its place: `{"iam": …}`, or nothing."""
        return {"iam": self.iam.as_dict()} if self.iam else {}

    @property
    def facts(self) -> dict[str, Any]:
        """Where the server is, as the stack's output `server` says; no secret."""
        return {"host": self.host, "port": self.port, "sslMode": self.ssl_mode, "sslRootCert": self.ssl_root_cert}


def declare_server(settings: StackSettings) -> Server:
    """Declare the provider for the stack's server and return where it is.

    Raises:
        SettingsError: the server's file, the CA's file or the administrator's secret cannot be used.
        AwsError: the secret cannot be read.
    """
    found = address(settings)
    password = pulumi.Output.secret(found.password)
    access = settings.aws
    tokens = settings.iam_authentication
    provider = postgresql.Provider(
        "server",
        host=found.host,
        port=found.port,
        username=found.username,
        password=None if tokens else password,
        database=found.database,
        superuser=found.superuser,
        sslmode=found.ssl_mode,
        # The plugin takes the CAs of the machine where no file is named.
        sslrootcert=None if found.ssl_root_cert in ("", "system") else found.ssl_root_cert,
        connect_timeout=15,
        aws_rds_iam_auth=tokens or None,
        aws_rds_iam_region=(access.region or None) if tokens else None,
        aws_rds_iam_profile=(access.profile or None) if tokens else None,
        aws_rds_iam_provider_role_arn=(access.role or None) if tokens else None,
    )
    return Server(
        provider=provider,
        host=found.host,
        port=found.port,
        username=found.username,
        superuser=found.superuser,
        ssl_mode=found.ssl_mode,
        ssl_root_cert=found.ssl_root_cert,
        password=password,
        maintenance_database=found.database,
        iam=access if tokens else None,
        secret_arn=found.secret_arn,
    )
