"""The promotion gate in the program: read the source stack's release, ask `promotion`, let through or stop.

Called by `__main__` before anything of a product is declared, so that a refusal changes nothing in preview and update.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pulumi

from infra import products, promotion
from infra.migrations import directory, planner
from infra.promotion import UNRELEASED, Wanted
from infra.settings import StackSettings


async def overridden(settings: StackSettings) -> dict[str, str]:
    """Pass where the source stack has released what these files bring, or an override says why not.

    Returns:
        For each product that passes by the override, its reason.

    Raises:
        NotReleasedError: the source has not released a product, and nothing overrides it.
    """
    if not settings.promote_from:
        return {}
    stack, source = pulumi.get_stack(), settings.promote_from
    wanted = wanted_of(settings.products)
    reasons = promotion.refusals(wanted, await _release(source), source=source)
    if not reasons:
        return {}
    refused = promotion.not_released(reasons, wanted, source=source, stack=stack)
    if settings.promotion_override:
        said = f"stack {stack} takes {', '.join(reasons)} without a release of {source}, by the override"
        pulumi.log.warn(f"{said}: {settings.promotion_override}")
        return dict.fromkeys(reasons, settings.promotion_override)
    if pulumi.runtime.is_dry_run() and os.environ.get(UNRELEASED):
        pulumi.log.warn(f"`up` would be refused: {refused.message}{refused.detail}")
        return {}
    raise refused


def wanted_of(names: Sequence[str]) -> list[Wanted]:
    """Return what the files of each product would bring."""
    found = []
    for name in names:
        migrations = directory.read(products.load(name).migrations_folder)
        found.append(Wanted(product=name, version=migrations[-1].label, digest=planner.digest(migrations)))
    return found


async def _release(source: str) -> dict[str, Any] | None:
    """Return the output `release` of a stack; None where it has none."""
    name = source if "/" in source else f"{pulumi.get_organization()}/{pulumi.get_project()}/{source}"
    reference = pulumi.StackReference("source", stack_name=name)
    found = await reference.get_output_details("release")
    release: dict[str, Any] | None = found.value or found.secret_value
    return release
