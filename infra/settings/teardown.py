"""Keys that say how a stack's data may go: where its backups are, and the phrase that takes its protection off.

Pure. Part of `infra.settings.model`.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class TeardownSettings(BaseModel):
    """What must be given before anything that cannot be undone."""

    backup_to: str = Field(
        default="",
        description="Where backups go: a folder, or s3://bucket/prefix.",
        examples=["s3://chatdb-backups/prod"],
    )
    destroy_confirmation: str = Field(
        default="",
        description="Takes the protection of a kept stack off: DESTROY and the stack's name, to the letter.",
        examples=["DESTROY prod"],
    )
