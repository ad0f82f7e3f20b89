"""The keys of a stack about what it takes from another one. Pure; inherited by `infra.settings.model`."""

from __future__ import annotations

from pydantic import BaseModel, Field


class PromotionSettings(BaseModel):
    """Which stack this one takes from."""

    promote_from: str = Field(
        default="",
        description="Stack that this one takes from: only versions that its output `release` has; empty for none.",
        examples=["dev"],
    )
    promotion_override: str = Field(
        default="",
        description="Why this stack takes what `promoteFrom` has not released; the ledger keeps it. Remove it after.",
        examples=["incident 42: index for the inbox"],
    )
