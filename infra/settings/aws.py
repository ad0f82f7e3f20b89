"""The keys that say how AWS is reached and what is kept there. Part of `infra.settings.model`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

# What AWS takes for a name; empty where the key is not set.
AwsSecret = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@:-]{0,2048}$")]
AwsPrefix = Annotated[str, Field(pattern=r"^([A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*)?$", max_length=400)]
AwsRegion = Annotated[str, Field(pattern=r"^([a-z]{2}(-[a-z]+)+-[0-9]+)?$")]
AwsEndpoint = Annotated[str, Field(pattern=r"^(https?://[^/?#@\s]+/?)?$")]
AwsRole = Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+)?$")]


class AwsSettings(BaseModel):
    """AWS: where it is empty, the usual environment counts (AWS_REGION, AWS_PROFILE, ~/.aws/config)."""

    aws_region: AwsRegion = Field(
        default="",
        description="Region of secrets, tokens and backups; empty for AWS_REGION or the profile's.",
        examples=["eu-central-1"],
    )
    aws_profile: str = Field(
        default="", description="Profile of ~/.aws/config; empty for AWS_PROFILE.", examples=["prod"]
    )
    aws_role: AwsRole = Field(
        default="",
        description="Role that is assumed by STS for everything in AWS; its credentials are renewed in time.",
        examples=["arn:aws:iam::123456789012:role/chatdb"],
    )
    aws_endpoint: AwsEndpoint = Field(
        default="",
        description="URL in place of AWS's own, for all its services; empty for AWS_ENDPOINT_URL or AWS's own.",
        examples=["https://vpce-1a2b3c.eu-central-1.vpce.amazonaws.com"],
    )
    publish_credentials: bool = Field(
        default=False,
        description="Write each login's generated credentials to AWS Secrets Manager, as the JSON of RDS.",
        examples=["true"],
    )
    secret_prefix: AwsPrefix = Field(
        default="",
        description="What the names of the written secrets begin with, before /ROLE; empty for chatdb/STACK.",
        examples=["chat/prod"],
    )
    secret_recovery_days: Annotated[int, Field(ge=7, le=30)] = Field(
        default=30,
        description="Days for which a secret of a destroyed login can be restored, 7 to 30.",
        examples=["30"],
    )
