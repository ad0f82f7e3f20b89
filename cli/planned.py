"""What an `up` of a stack would change, as data, from whichever engine has the stack. Called by `cli.promote`.

The engine of this project tells it event by event; the Pulumi CLI's `preview --json` is read into the same events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cli import engines
from cli.context import project
from cli.display import PENDING_KEY, REVIEW, REVIEW_KEYS, SIGNS, SQL_KEY, pending_files
from embedded.engine import deployment, steps
from embedded.events import StepEvent
from infra.errors import RefusedError

Show = Callable[[StepEvent], None]
# The CLI's words for the parts of a replacement; the rest are ours.
OPERATIONS = {"create-replacement": "replace", "delete-replaced": "", "replace": "", "same": "", "read": ""}


def plan(engine: engines.Engine, stack: str, show: Show) -> list[StepEvent]:
    """Return each change that an `up` would make, having shown it.

    Raises:
        ChatdbError: the preview is refused.
    """
    return _of_pulumi(stack, show) if engine == "pulumi" else _of_embedded(stack, show)


def as_dict(event: StepEvent) -> dict[str, Any]:
    """Return a change for a machine, without what stands by itself: the SQL of migrations, the review of access."""
    pending, files = pending_files(event)
    apart = (SQL_KEY, PENDING_KEY, *(REVIEW_KEYS if REVIEW in event.type else ()))
    properties = [change._asdict() for change in event.changes if change.root not in apart]
    about = {"operation": event.operation, "type": event.type, "name": event.name, "properties": properties}
    return {**about, "pending": {name: "\n".join(files.get(name, ())) for name in pending}} if pending else about


def _of_embedded(stack: str, show: Show) -> list[StepEvent]:
    found: list[StepEvent] = []

    def take(event: StepEvent) -> None:
        if event.phase == "planned" and event.operation in SIGNS:
            found.append(event)
        show(event)

    deployment.run("preview", project=project(), stack=stack, report=take)
    return found


def _of_pulumi(stack: str, show: Show) -> list[StepEvent]:
    engines.select(stack)
    done = engines.run_pulumi(["preview", "--json", "--stack", stack], capture=True)
    try:
        printed = json.loads(done.stdout)
    except ValueError:
        printed = {}
    said = [entry["message"] for entry in printed.get("diagnostics") or () if entry["severity"] == "error"]
    if done.returncode:
        raise RefusedError(
            f"the preview of stack {stack} failed",
            detail="".join(said).strip() or " ".join(done.stderr.split()),
            hint=f"Mend what it names; `chatdb preview --stack {stack}` shows it in full.",
        )
    found = [event for step in printed.get("steps") or () if (event := _event(step)) is not None]
    for event in found:
        show(event)
    return found


def _event(step: Mapping[str, Any]) -> StepEvent | None:
    """Return a step of `pulumi preview --json` as an event; None where it changes nothing."""
    operation = OPERATIONS.get(step["op"], step["op"])
    if operation not in SIGNS:
        return None
    old, new = (steps.without_notes(step.get(state) or {}) for state in ("oldState", "newState"))
    inputs = new.get("inputs") or {}
    differences = steps.differences(old.get("inputs") or {}, inputs)
    return StepEvent(
        operation=operation,
        phase="planned",
        urn=step["urn"],
        type=steps.type_of(step["urn"]),
        name=steps.name_of(step["urn"]),
        changes=tuple(differences) if operation != "delete" else (),
        inputs=inputs,
    )
