"""Ask the policies of every resource that a preview, or the plan of an update, came to. Called by `engine.deployment`.

The rules are `infra.policy.rules`, which the policy pack brings to the Pulumi CLI too. Nothing is done yet when they
are asked: what is mandatory stops, what is advisory is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from embedded.engine import steps
from embedded.engine.values import Secret, is_known, unwrap
from embedded.events import Report, StepEvent
from embedded.settings import Config
from infra.errors import ChatdbError
from infra.policy.model import Resource, Stack, Violation
from infra.policy.rules import violations


class PolicyError(ChatdbError):
    """The program asks for what the policies forbid.

    Args:
        found: Every violation that is mandatory, one or more.
    """

    def __init__(self, found: Sequence[Violation]) -> None:
        self.found = tuple(found)
        if len(found) == 1:
            message, detail, hint = f"policy {found[0].title}", found[0].rule.reason, found[0].finding.hint
        else:
            message = f"{len(found)} resources break a policy"
            detail = "".join(f"\n  {violation.title}\n    {violation.rule.reason}" for violation in found)
            hint = " ".join(dict.fromkeys(violation.finding.hint for violation in found))
        super().__init__(message, detail=detail, hint=hint, state="Nothing was changed.")


def require(resources: Iterable[Mapping[str, Any]], *, stack: str, config: Config, report: Report) -> None:
    """Return where no mandatory rule is broken; each advisory one is reported as a warning.

    Args:
        resources: As the engine holds them, after their providers' checks.
        stack: Name of the stack.
        config: Its settings.
        report: Told what is advisory.

    Raises:
        PolicyError: A mandatory rule is broken; all are listed.
    """
    values = config.plain
    marks = Stack(
        stack,
        production=values.get("chatdb:production") == "true",
        destroy_confirmation=values.get("chatdb:destroyConfirmation", ""),
    )
    found = violations(map(_resource, resources), marks)
    for violation in found:
        if violation.rule.level == "advisory":
            report(StepEvent(operation="log", phase="warning", message=f"policy {violation}"))
    if mandatory := [violation for violation in found if violation.rule.level == "mandatory"]:
        raise PolicyError(mandatory)


def _resource(item: Mapping[str, Any]) -> Resource:
    known = {key: value for key, value in item.get("inputs", {}).items() if is_known(value)}
    return Resource(
        item["type"],
        steps.name_of(item["urn"]),
        unwrap(known),
        frozenset(key for key, value in known.items() if isinstance(value, Secret)),
        bool(item.get("protect")),
        frozenset(item.get("ignoreChanges", ())),
    )
