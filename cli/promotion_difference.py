"""Show what a promotion would change: versions, settings that differ, then the preview. Called by `cli.promote`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from cli import engines, planned
from cli.console import out
from cli.context import has_state, project
from cli.display import Display
from embedded.events import StepEvent
from embedded.settings import stack_values
from infra import products
from infra.errors import RefusedError
from infra.promotion import Wanted
from infra.settings.differences import SettingDifference, differences


def show(
    source: str, stack: str, wanted: Sequence[Wanted], engine: engines.Engine, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what would change, having shown it unless the result is for a machine.

    Args:
        source: Name of the stack to take from.
        stack: Name of the stack that takes.
        wanted: What the files would bring, product by product.
        engine: Which engine has the stack that takes.
        options: The command line.

    Raises:
        ChatdbError: the preview is refused, or would change more than the one product that is asked for.
    """
    now = _versions(stack, engine, options)
    versions = {item.product: {"from": now.get(item.product, "0000"), "to": item.version} for item in wanted}
    settings = differences(stack_values(project(), source), stack_values(project(), stack))
    if not options.json:
        _draw(source, stack, versions, settings)
    with Display(for_machine=options.json) as display:
        events = planned.plan(engine, stack, display)
    if options.product:
        _only(products.load(options.product).name, events, [item.product for item in wanted], stack)
    # An interrupted run may have done all of it and left the outputs behind: then they are what is brought up.
    behind = any(fact["from"] != fact["to"] for fact in versions.values())
    return {
        "from": source,
        "to": stack,
        "products": versions,
        "settings": [difference._asdict() for difference in settings],
        "access": display.access,
        "changes": [planned.as_dict(event) for event in events],
        "promoted": bool(events) or behind,
    }


def _versions(stack: str, engine: engines.Engine, options: argparse.Namespace) -> dict[str, str]:
    """Return the version of each product that the stack has; none where it is not up yet."""
    if engine == "embedded" and not has_state(stack):
        return {}
    if engine == "pulumi":
        engines.select(stack)
    facts = engines.stack_outputs(stack, options, show_secrets=False).get("products", {})
    return {name: str(fact["version"]) for name, fact in facts.items()}


def _only(product: str, events: Sequence[StepEvent], names: Sequence[str], stack: str) -> None:
    """Pass where nothing of another product would change."""
    others = [name for name in names if name != product]
    touched = [name for name in others if any(event.name.split("-")[0] == name for event in events)]
    if touched:
        raise RefusedError(
            f"stack {stack} would change more than {product}",
            detail=f"of {', '.join(touched)} something is pending too, and an update takes the stack as a whole",
            hint="Read what it shows, then promote all of it: without --product.",
        )


def _draw(
    source: str, stack: str, versions: Mapping[str, Mapping[str, str]], settings: Sequence[SettingDifference]
) -> None:
    out.print(Text(f"{source} to {stack}", style="bold"))
    for name, fact in versions.items():
        moved = f"{fact['from']} → {fact['to']}" if fact["from"] != fact["to"] else f"{fact['to']} as it is"
        out.print(Text(f"  {name}  {moved}"))
    if settings:
        out.print(Text(f"settings that differ, {source} | {stack}", style="bold"))
    for difference in settings:
        out.print(Text(f"  {difference.key}: {difference.first or '-'} | {difference.second or '-'}"))
