"""Where a stack's server is and who administers it: from the settings, a secret of AWS, or the embedded server's file.

Called by `infra.server`. What the stack file says counts over what the secret holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from infra import admin_secret, aws
from infra.admin_secret import AdminSecret
from infra.errors import SettingsError
from infra.products import PROJECT_ROOT
from infra.settings import StackSettings

# Where neither settings nor secret name one.
DATABASE = "postgres"
PORT = 5432


@dataclass(frozen=True, kw_only=True)
class Address:
    """Host, port and administrator, from whichever source the settings name.

    Attributes:
        host: Host name or address.
        port: TCP port.
        username: The administrator.
        password: The administrator's password; empty where tokens stand in for it.
        superuser: Whether the administrator is a superuser.
        ssl_mode: libpq's sslmode.
        ssl_root_cert: CA file as the settings name it; empty for none.
        database: Database the administrator connects to first.
        secret_arn: ARN of the administrator's secret; empty where there is none.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    superuser: bool
    ssl_mode: str
    ssl_root_cert: str = ""
    database: str
    secret_arn: str = ""


def address(settings: StackSettings, *, root: Path = PROJECT_ROOT) -> Address:
    """Return how to reach the server.

    Args:
        settings: The stack's settings.
        root: Folder that a relative `serverFile` or `sslRootCert` starts from.

    Raises:
        SettingsError: `serverFile`, `sslRootCert` or `adminSecret` is named and is not there or cannot be used.
        AwsError: `adminSecret` cannot be read, or a token cannot be made.
    """
    if settings.server_file:
        return _embedded(settings, root)
    _require_file(settings, root)
    secret = _admin_secret(settings)
    host, port = settings.host or secret.host, settings.port or secret.port or PORT
    username = settings.username or secret.username
    if settings.iam_authentication:
        # Each connection makes its own; one that cannot be made is said here, before anything is declared.
        aws.rds_token(settings.aws, host=host, port=port, user=username)
    return Address(
        host=host,
        port=port,
        username=username,
        password=settings.password.get_secret_value() or secret.password,
        superuser=settings.superuser,
        ssl_mode=settings.ssl_mode,
        ssl_root_cert=settings.ssl_root_cert,
        database=settings.maintenance_database or secret.database or DATABASE,
        secret_arn=secret.arn,
    )


def _admin_secret(settings: StackSettings) -> AdminSecret:
    """Return what the administrator's secret holds; nothing where the settings name none."""
    if not settings.admin_secret:
        return AdminSecret(arn="")
    left_out = [key for key in ("host", "username") if not getattr(settings, key)]
    return admin_secret.read(settings.admin_secret, settings.aws, needed=[*left_out, "password"])


def _require_file(settings: StackSettings, root: Path) -> None:
    """Refuse a CA file that is not there, before a connection does so in words of its own."""
    name = settings.ssl_root_cert
    if name in ("", "system") or (root / name).is_file():
        return
    raise SettingsError(
        "the CA file for TLS is not there",
        detail=f"sslRootCert {name} does not exist (a relative path starts at the project's folder)",
        hint="Put the CA's certificates there; RDS: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
    )


def _embedded(settings: StackSettings, root: Path) -> Address:
    """Return where the embedded server is, by the file it wrote."""
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
            database=settings.maintenance_database or DATABASE,
        )
    except FileNotFoundError:
        raise SettingsError(
            "the embedded server has not been started",
            detail=f"serverFile {settings.server_file} does not exist",
            hint="Run `chatdb server start` (or `make up`), or set chatdb:host to a server of your own.",
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            "the embedded server's file cannot be read",
            detail=f"serverFile {settings.server_file}: {type(error).__name__} {error}",
            hint="Run `chatdb server start` as the user who made it; it writes the file anew.",
        ) from None
