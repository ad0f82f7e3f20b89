"""A stack that is worked on: its settings, its state, its secrets, its providers. Called by `deployment` and `work`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from embedded import settings, stackfile
from embedded.engine import state, steps
from embedded.engine.errors import NotDoneError
from embedded.engine.provider import Provider
from embedded.engine.state import Snapshot
from embedded.events import Report, StepEvent
from embedded.settings import Config


class Stack:
    """A stack that is worked on.

    Args:
        project: Folder of the project.
        name: Name of the stack.
        report: Told each step.
    """

    def __init__(self, project: Path, name: str, report: Report) -> None:
        self.project, self.name, self.report = project, name, report
        self._file = state.StateFile(project, name)
        self._deployment = self._file.read()
        # From here on the key of the secrets is derived, beside everything else.
        self._vault = settings.open_vault(project, name)

    @functools.cached_property
    def config(self) -> Config:
        """The settings, decrypted."""
        return settings.load(self.project, self.name, self._vault)

    @property
    def place(self) -> dict[str, str]:
        """The names of the stack and the project, for its resources' URNs."""
        return {"stack": self.name, "project": self.config.project}

    @functools.cached_property
    def snapshot(self) -> Snapshot:
        """The state as it was before, decrypted; what a killed run was doing is told."""
        salt = state.salt_of(self._deployment)
        same = salt in ("", self._vault.salt)
        vault = self._vault if same else settings.vault_of(self.project, self.name, salt)
        snapshot = state.decode(self._deployment, vault)
        for resource, kind in snapshot.pending:
            name = f"{resource['type']} {steps.name_of(resource['urn'])}"
            message = f"the last run was interrupted while {kind} {name}; it is done again"
            self.report(StepEvent(operation="log", phase="warning", urn=resource["urn"], message=message))
        return snapshot

    def save(self, snapshot: Snapshot) -> None:
        """Put the state as it is now on the disk."""
        self._file.write(snapshot, self._vault)

    def provider(self, package: str, inputs: dict[str, Any]) -> Provider:
        """Return the provider of a package, imported only where it is used.

        Args:
            package: Its name.
            inputs: What its resource was given, secrets in plain.

        Raises:
            NotDoneError: There is none here.
        """
        if package == "pulumi-python":
            from embedded.engine.dynamic import DynamicProvider

            return DynamicProvider(self.config)
        if package == "postgresql":
            from embedded.engine.postgresql import PostgresqlProvider

            return PostgresqlProvider(inputs)
        raise NotDoneError(f"a resource of package {package}")

    def read_other(self, name: str) -> dict[str, Any]:
        """Return the outputs of the stack named `stack`, `project/stack` or `organization/project/stack`."""
        *project, stack = name.split("/")
        if project and project[-1] != self.config.project:
            raise NotDoneError("a reference to another project's stack", detail=f"{name}, here {self.config.project}")
        return stackfile.outputs_of_other(self.project, stack, asked_by=self.name)
