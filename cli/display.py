"""Draw a run of the embedded engine: progress while it goes on, what changes in a preview, the pending SQL in full."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.text import Text

from cli.console import err, out
from embedded.events import StepEvent

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "replace": ("±", "magenta"), "delete": ("-", "red")}
DONE_WORDS = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "refresh": "read"}
PENDING_KEY = "pending"
SQL_KEY = "migrations"
# What the review of access keeps beside its sentences: the same as data.
REVIEW = "dynamic/chatdb:Access"
REVIEW_KEYS = ("changes", "declared", "look", "repairs", "drift", "findings", "unseen")
SHOWN_WHILE_RUNNING = 4  # resources named at once under the progress line


class Display:
    """What the engine's report callback feeds. Use as a context manager.

    Args:
        for_machine: Whether standard output is for a machine; a preview is drawn on the other one then.

    Attributes:
        access: In a preview, by product what changes for whom, a sentence each.
        warnings: What was warned of.
    """

    def __init__(self, *, for_machine: bool = False) -> None:
        self._plan = err if for_machine else out
        self.access: dict[str, list[str]] = {}
        self.warnings: list[str] = []
        self._running: dict[str, str] = {}
        self._done = 0
        self._live = Live(console=err, transient=True, refresh_per_second=8) if err.is_terminal else None

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_exception: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: StepEvent) -> None:
        """Take one event."""
        match event.phase:
            case "planned":
                self._planned(event)
            case "start":
                self._running[event.urn] = event.name
            case "done" | "failed":
                self._ended(event)
            case "warning" | "error":
                self.warnings.append(event.message)
                self._say(Text(event.message, style="yellow" if event.phase == "warning" else "red"))
            case "info":
                # A preview draws what changes for whom beside the resource; the program says it for the Pulumi CLI.
                if event.message and REVIEW not in event.urn:
                    self._say(Text(event.message))
        if self._live:
            self._live.update(self._picture())

    def _picture(self) -> Group:
        names = list(self._running.values())
        more = f" and {len(names) - SHOWN_WHILE_RUNNING} more" if len(names) > SHOWN_WHILE_RUNNING else ""
        return Group(Spinner("dots", text=f"{self._done} done  {', '.join(names[:SHOWN_WHILE_RUNNING])}{more}"))

    def _ended(self, event: StepEvent) -> None:
        self._running.pop(event.urn, None)
        self._done += 1
        if event.phase == "failed":
            self._say(Text(f"  ! {event.operation} of {event.name} failed", style="red"))
        elif event.operation in SIGNS:
            sign, colour = SIGNS[event.operation]
            took = f"  {event.seconds:.1f} s" if event.seconds >= 1 else ""
            self._say(Text.assemble((f"  {sign} ", colour), event.name, (f"  {short_type(event.type)}{took}", "dim")))

    def _say(self, line: Text) -> None:
        err.print(line)

    def _planned(self, event: StepEvent) -> None:
        """Print one resource of a preview with each property that differs; migrations as SQL."""
        if event.operation not in SIGNS:
            return
        sign, colour = SIGNS[event.operation]
        self._plan.print(
            Text.assemble((f"{sign} ", colour), (event.name, "bold"), (f"  {short_type(event.type)}", "dim"))
        )
        values = {change.path: change for change in event.changes}
        review = REVIEW in event.type
        for path, change in values.items():
            if not path.startswith((SQL_KEY, PENDING_KEY, "__provider", *(REVIEW_KEYS if review else ()))):
                self._plan.print(Text(f"    {path}: {change_text(change.old, change.new)}", style="dim"))
        if review and event.inputs.get("changes"):
            self.access[event.inputs["product"]] = list(event.inputs["changes"])
            for sentence in event.inputs["changes"]:
                self._plan.print(Text(f"    {sentence}", style="bold"))
        print_pending(event, self._plan)


def print_pending(event: StepEvent, console: Console) -> None:
    """Print every pending migration of a resource in full."""
    pending, files = pending_files(event)
    for name in pending:
        console.print(Text(f"    pending: {name}", style="bold yellow"))
        text = "\n".join(files.get(name, ["(unchanged file; see schema/)"]))
        if console.is_terminal:
            console.print(Syntax(text, "postgresql", background_color="default", word_wrap=True))
        else:
            console.print(Text("\n".join(f"      {line}".rstrip() for line in text.splitlines())))


def pending_files(event: StepEvent) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of a resource's pending migrations and the lines of each file it has."""
    return list(event.inputs.get(PENDING_KEY) or ()), dict(event.inputs.get(SQL_KEY) or {})


def change_text(old: Any, new: Any) -> str:
    """Return `old → new`, or the one that is there."""
    shown = [
        value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False) for value in (old, new)
    ]
    if old is None:
        return shown[1]
    return f"{shown[0]} → nothing" if new is None else f"{shown[0]} → {shown[1]}"


def short_type(type_: str) -> str:
    """Return the last word of a resource type: `postgresql:index/role:Role` → `Role`."""
    return type_.rpartition(":")[2]


def counts_text(counts: Mapping[str, int]) -> str:
    """Return what a run did, or would do, in one line; empty where it is nothing."""
    parts = [f"{count} {DONE_WORDS.get(kind, kind)}" for kind, count in counts.items() if count and kind != "same"]
    return ", ".join(parts)
