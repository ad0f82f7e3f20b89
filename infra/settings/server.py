"""The keys that say where the server is and who administers it. Part of `infra.settings.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

from infra.settings.aws import AwsSecret

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Port = Annotated[int, Field(ge=0, le=65535)]


class ServerSettings(BaseModel):
    """The server and its administrator."""

    server_file: str = Field(
        default="",
        description="File with the embedded server's address and administrator; in place of host, username, password.",
        examples=[".chatdb/dev/server/server.json"],
    )
    host: str = Field(
        default="", description="Host name or address of the PostgreSQL server.", examples=["db.example.com"]
    )
    port: Port = Field(
        default=0, description="TCP port of the server; 0 for what adminSecret holds, else 5432.", examples=["5432"]
    )
    username: str = Field(
        default="",
        description="Administrator: a superuser, or a role with CREATEROLE and CREATEDB.",
        examples=["postgres"],
    )
    password: SecretStr = Field(
        default=SecretStr(""), description="The administrator's password; set it with --secret.", examples=["--secret"]
    )
    admin_secret: AwsSecret = Field(
        default="",
        description="ARN or name of the administrator's secret in AWS Secrets Manager, JSON as RDS stores it; in place "
        "of password. Host, port, username and dbname in it stand in for what the stack file leaves out.",
        examples=["prod/chatdb/admin"],
    )
    iam_authentication: bool = Field(
        default=False,
        description="Administrator and migrators log in by RDS IAM tokens, made for each connection; in place of "
        "password. They need rds_iam, and TLS.",
        examples=["true"],
    )
    superuser: bool = Field(
        default=False,
        description="Whether the administrator is a superuser; false on RDS, Cloud SQL, Neon and the like.",
        examples=["false"],
    )
    maintenance_database: str = Field(
        default="",
        description="Database the administrator connects to first; empty for what adminSecret holds, else postgres.",
        examples=["postgres"],
    )
    ssl_mode: SslMode = Field(
        default="require",
        description="TLS as libpq's sslmode; production takes require or stricter.",
        examples=["verify-full"],
    )
    ssl_root_cert: str = Field(
        default="", description="CA file for verify-ca and verify-full.", examples=["certs/rds-ca.pem"]
    )
