"""The pipelines in .github as data: each workflow's jobs and the commands that their steps run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.products import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".github" / "workflows"


@dataclass(frozen=True)
class Step:
    """One step that runs a command.

    Attributes:
        name: Its name.
        run: The command.
        environment: Its variables, as written.
    """

    name: str
    run: str
    environment: dict[str, str]


def files() -> list[Path]:
    """Return every workflow and action."""
    return sorted([*FOLDER.glob("*.yml"), *FOLDER.parent.glob("actions/*/action.yml")])


def read(name: str) -> dict[str, Any]:
    """Return a workflow; YAML takes the key `on` for true."""
    loaded: dict[Any, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in loaded.items()}


def jobs() -> list[tuple[str, dict[str, Any]]]:
    """Return every job of every workflow with its name, as `main/dev`."""
    return [
        (f"{file.stem}/{name}", job)
        for file in sorted(FOLDER.glob("*.yml"))
        for name, job in read(file.stem)["jobs"].items()
    ]


def steps(workflow: str, job: str) -> list[Step]:
    """Return the steps of a job that run a command, in their order."""
    found = read(workflow)["jobs"][job]
    return [
        Step(step["name"], step["run"], {**found.get("env", {}), **step.get("env", {})})
        for step in found["steps"]
        if "run" in step
    ]
