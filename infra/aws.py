"""Clients of AWS and what its refusals mean, in plain words.

Called by whatever a setting sends to AWS: Secrets Manager, RDS IAM tokens, backups in S3. boto3 takes half a second to
load, so it is imported only inside functions: who uses no AWS never loads it.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from infra.aws_errors import explained

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sts import STSClient

# One attempt: time in seconds to connect, and to wait for the next piece of an answer. Attempts: the first included.
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
ATTEMPTS = 3
ROLE_SESSION_NAME = "chatdb"


@dataclass(frozen=True, kw_only=True)
class Access:
    """How AWS is reached; what is empty is as the usual environment has it (AWS_REGION, AWS_PROFILE, ~/.aws/config).

    Attributes:
        region: Region, as in "eu-central-1".
        profile: Profile of ~/.aws/config, which may itself name a role.
        endpoint: URL in place of AWS's own, for every service; AWS_ENDPOINT_URL does the same.
        role: ARN of a role that is assumed by STS; its credentials are renewed before they expire.
    """

    region: str = ""
    profile: str = ""
    endpoint: str = ""
    role: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fields, as a dynamic resource's inputs hold them."""
        return asdict(self)

    @property
    def described(self) -> str:
        """What of it was chosen, for an error's text: "region eu-central-1, profile prod"."""
        return ", ".join(f"{name} {value}" for name, value in self.as_dict().items() if value)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Access:
        """Return what `as_dict` gave; absent fields are empty."""
        return cls(**{name: str(values.get(name) or "") for name in ("region", "profile", "endpoint", "role")})


@overload
def client(service: Literal["secretsmanager"], access: Access = ...) -> SecretsManagerClient: ...
@overload
def client(service: Literal["s3"], access: Access = ...) -> S3Client: ...
@overload
def client(service: Literal["rds"], access: Access = ...) -> RDSClient: ...
@overload
def client(service: Literal["sts"], access: Access = ...) -> STSClient: ...
def client(service: str, access: Access = Access()) -> Any:
    """Return a client of a service; the same one each time, so that its credentials are fetched once.

    Args:
        service: "secretsmanager", "s3", "rds" or "sts".
        access: How AWS is reached.

    Raises:
        AwsError: no region is named, the profile does not exist, or the endpoint is no URL.
    """
    return _client(service, access)


@functools.cache
def _client(service: str, access: Access) -> Any:
    with explained(f"cannot prepare to speak to AWS ({service})", access.described):
        session = _assuming(access) if access.role else _session(access)
        return _create(session, access, service)


def region_of(access: Access) -> str:
    """Return the region in use; empty where nothing names one."""
    with explained("cannot tell the AWS region", access.described):
        return _session(access).get_config_variable("region") or ""


def rds_token(access: Access, *, host: str, port: int, user: str) -> str:
    """Return a password for one connection to RDS; the server takes it for 15 minutes. Made here, without a request.

    Args:
        access: Whose credentials sign it; its region is the database's.
        host: Host name of the database, as RDS gives it: the signature covers it.
        port: TCP port.
        user: Login role, a member of rds_iam.

    Raises:
        AwsError: there are no credentials or no region, or the role cannot be assumed.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
    """
    with explained(f"cannot make an RDS token for {user} at {host}:{port}", access.described):
        rds = client("rds", access)
        return rds.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)


def _session(access: Access) -> Session:
    """Return a session whose credentials come from the environment, the profile, or the machine's own role."""
    from botocore.session import Session

    session = Session(profile=access.profile or None)
    # boto3 itself knows AWS_DEFAULT_REGION alone; AWS_REGION is what every other tool of AWS goes by.
    if region := access.region or os.environ.get("AWS_REGION"):
        session.set_config_variable("region", region)
    return session


def _assuming(access: Access) -> Session:
    """Return a session that acts as the role, with credentials of the session above as their source."""
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.session import Session

    source = _session(access)
    credentials = source.get_credentials()
    if credentials is None:
        from botocore.exceptions import NoCredentialsError

        raise NoCredentialsError

    class AssumedRole(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> DeferredRefreshableCredentials:
            fetcher = AssumeRoleCredentialFetcher(
                client_creator=functools.partial(_create, source, access),
                source_credentials=credentials,
                role_arn=access.role,
                extra_args={"RoleSessionName": ROLE_SESSION_NAME},
            )
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    session = Session()
    session.set_config_variable("region", source.get_config_variable("region"))
    session.register_component("credential_provider", CredentialResolver([AssumedRole()]))
    return session


def _create(session: Session, access: Access, service: str, **credentials: Any) -> Any:
    """Make a client with bounded waits and attempts."""
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra="chatdb",
    )
    return session.create_client(service, endpoint_url=access.endpoint or None, config=config, **credentials)
