"""The keys about a product's roles: their names, their passwords' rotation, what they may take of the server.

Part of `infra.settings.model`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from infra.settings.decoding import from_json

RoleKind = Annotated[str, Field(pattern="^(owner|migrator|app|readonly|analytics)$")]
# An identifier that needs no quotes; a login's second has two characters more, and PostgreSQL cuts at 63.
RoleName = Annotated[str, Field(pattern="^[a-z_][a-z0-9_]*$", max_length=61)]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]


class LoginSettings(BaseModel):
    """Names, rotation, limits and timeouts of the roles; times are in milliseconds, where 0 means no limit."""

    role_names: Annotated[dict[str, dict[RoleKind, RoleName]], BeforeValidator(from_json)] = Field(
        default={},
        description="Roles named otherwise than PRODUCT_owner, PRODUCT_app and so on, by product and what they are "
        "for; only before the product is brought up first.",
        examples=['{"lyra": {"app": "lyra_service"}}'],
    )
    rotation: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1,
        description="Passwords the logins are at: one more makes new ones; the former stay valid until the next.",
        examples=["2"],
    )
    app_connection_limit: Annotated[int, Field(ge=-1, le=10_000)] = Field(
        default=50, description="Connections each product's service may hold at once; -1 for no limit.", examples=["50"]
    )
    app_statement_timeout: Milliseconds = Field(
        default=15_000,
        description="Longest statement of the services, in milliseconds; 0 for no limit.",
        examples=["15000"],
    )
    readonly_connection_limit: Annotated[int, Field(ge=-1, le=10_000)] = Field(
        default=10, description="Connections each readonly login may hold at once; -1 for no limit.", examples=["10"]
    )
    readonly_statement_timeout: Milliseconds = Field(
        default=60_000,
        description="Longest statement of the readonly logins, in milliseconds; 0 for no limit.",
        examples=["60000"],
    )
    analytics_connection_limit: Annotated[int, Field(ge=-1, le=10_000)] = Field(
        default=5, description="Connections each analytics login may hold at once; -1 for no limit.", examples=["5"]
    )
    analytics_statement_timeout: Milliseconds = Field(
        default=90_000,
        description="Longest statement of the analytics logins, in milliseconds; 0 for no limit.",
        examples=["90000"],
    )
    lock_timeout: Milliseconds = Field(
        default=3_000,
        description="How long services, readers and analytics wait for a lock, in milliseconds; 0 for no limit.",
        examples=["3000"],
    )
    idle_in_transaction_timeout: Milliseconds = Field(
        default=30_000,
        description="How long their transactions may stand idle, in milliseconds; 0 for no limit.",
        examples=["30000"],
    )
    transaction_timeout: Milliseconds = Field(
        default=120_000,
        description="Their longest transaction, in milliseconds; 0 for no limit; PostgreSQL 17 and later.",
        examples=["120000"],
    )
