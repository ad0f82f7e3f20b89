"""What a run tells while it goes on, and how it ended. Pure types; told by `engine`, drawn by `cli`.

Outside of the engine, since it decides nothing there: this is all that who draws a run needs to know of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from embedded.engine.steps import Change

Operation = Literal["check", "create", "update", "replace", "delete", "same", "plan", "log"]
Phase = Literal["planned", "start", "done", "failed", "info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One thing that is to happen, begins, or has happened.

    Attributes:
        operation: What is done; "plan" for what an update is going to do, "log" for a message of the program.
        phase: "planned" in a preview; start, then done or failed, in an update; the severity of a message.
        urn: The resource; empty where it is none.
        type: Its type.
        name: Its name.
        changes: Each property that differs, masked.
        inputs: What the program wants of the resource, masked.
        seconds: How long it took.
        message: A message of the program, a warning, or the error of what failed.
        counts: For "plan": how many resources will be created, updated and so on.
    """

    operation: Operation
    phase: Phase
    urn: str = ""
    type: str = ""
    name: str = ""
    changes: tuple[Change, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


Report = Callable[[StepEvent], None]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended.

    Attributes:
        changes: How many resources were (or, in a preview, would be) created, updated, replaced, deleted, same.
        outputs: The stack's outputs, secrets masked.
        seconds: How long it took.
    """

    changes: Mapping[str, int]
    outputs: Mapping[str, Any]
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether anything but `same` was counted."""
        return any(count for kind, count in self.changes.items() if kind != "same")
