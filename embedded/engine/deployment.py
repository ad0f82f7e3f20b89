"""One operation on a stack from start to end: preview, up, refresh, destroy. Called by `cli`.

An update is planned first: the program runs once as a preview, so that what is wrong (a refused input, a protected
resource that would go) is found before anything is done, and nothing more is run where nothing has to change.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from embedded.engine import config as configuration
from embedded.engine import lock, refresh, removal, secrets, state, steps
from embedded.engine.config import Config
from embedded.engine.errors import NotDoneError, joined
from embedded.engine.events import Report, Result, StepEvent
from embedded.engine.provider import Provider
from embedded.engine.secrets import Vault
from embedded.engine.state import Snapshot, StateFile
from embedded.engine.values import mask
from embedded.engine.work import Work


def run(
    operation: Literal["preview", "up", "refresh", "destroy"],
    *,
    project: Path,
    stack: str,
    report: Report = lambda _event: None,
) -> Result:
    """Carry out one operation.

    Args:
        operation: preview shows what up would do; up brings everything to what the program wants; refresh takes over
            what is really there; destroy deletes everything.
        project: Folder with Pulumi.yaml and `__main__.py`.
        stack: Name of the stack; its settings are in Pulumi.<stack>.yaml.
        report: Told each step as it happens, from the thread that does it.

    Raises:
        ChatdbError: The settings, the program or a resource is wrong, another run is going on, or something failed.
            What was done before stands in the state.
    """
    from embedded.engine import program

    began = time.monotonic()
    project = project.resolve()
    configuration.stack_file(project, stack)
    with lock.hold(state.folder_of(project, stack), stack=stack, operation=operation), program.inside(project):
        work = _OPERATIONS[operation](Stack(project, stack, report))
    roots = [item for item in work.snapshot().resources if item["type"] == steps.STACK_TYPE]
    outputs = mask(roots[0].get("outputs", {})) if roots else {}
    return Result(changes=work.counts, outputs=outputs, seconds=time.monotonic() - began)


class Stack:
    """A stack that is worked on: its settings, its state, its secrets."""

    def __init__(self, project: Path, name: str, report: Report) -> None:
        self.project, self.name, self.report = project, name, report
        self.file = StateFile(project, name)
        self._deployment = self.file.read()
        # From here on the key of the secrets is derived, beside everything else.
        self.vault = configuration.open_vault(project, name)

    @functools.cached_property
    def config(self) -> Config:
        """The settings, decrypted."""
        return configuration.load(self.project, self.name, self.vault)

    @functools.cached_property
    def snapshot(self) -> Snapshot:
        """The state, decrypted; what a killed run was doing is told."""
        salt = state.salt_of(self._deployment)
        vault = self.vault
        if salt and salt != vault.salt:
            folder = state.folder_of(self.project, self.name)
            vault = Vault(secrets.find_passphrase(folder, stack=self.name, create=False), salt)
        snapshot = state.decode(self._deployment, vault)
        for resource, kind in snapshot.pending:
            name = f"{resource['type']} {steps.name_of(resource['urn'])}"
            message = f"the last run was interrupted while {kind} {name}; it is done again"
            self.report(StepEvent(operation="log", phase="warning", urn=resource["urn"], message=message))
        return snapshot

    def work(self, *, dry: bool, report: Report) -> Work:
        """Return a run over this stack that has yet to begin."""
        return Work(
            self.snapshot,
            stack=self.name,
            project=self.config.project,
            providers=self._provider,
            read_stack=self._other,
            save=None if dry else lambda found: self.file.write(found, self.vault),
            report=report,
        )

    def _provider(self, package: str, inputs: dict[str, Any]) -> Provider:
        """Return the provider of a package, imported only where it is used."""
        if package == "pulumi-python":
            from embedded.engine.dynamic import DynamicProvider

            return DynamicProvider(self.config.plain, self.config.project)
        if package == "postgresql":
            from embedded.engine.postgresql import PostgresqlProvider

            return PostgresqlProvider(inputs)
        raise NotDoneError(f"a resource of package {package}")

    def _other(self, name: str) -> dict[str, Any]:
        """Return the outputs of the stack named `stack`, `project/stack` or `organization/project/stack`."""
        *project, stack = name.split("/")
        if project and project[-1] != self.config.project:
            raise NotDoneError(
                "a reference to another project's stack", detail=f"{name} is not of {self.config.project}"
            )
        return state.stack_outputs(self.project, stack)


@contextmanager
def _ended(work: Callable[[], Work]) -> Iterator[None]:
    """Save and close a run however it ends; raise what failed in it, with what was done all the same."""
    try:
        yield
    finally:
        try:
            work().save()
        finally:
            work().close()
    if work().errors:
        done = ", ".join(f"{count} {kind}" for kind, count in sorted(work().counts.items())) or "nothing"
        done = "Nothing was changed." if work().dry else f"Saved in the state: {done}; run again to go on."
        raise joined(work().errors, done=done)


def _program(stack: Stack, *, dry: bool, report: Report) -> Work:
    """Run the program once."""
    from embedded.engine import monitor, program
    from embedded.engine.registration import Registrar

    asked = monitor.Monitor(lambda: Registrar(stack.work(dry=dry, report=report)), stack.config)
    log = monitor.EngineLog(report)
    with _ended(lambda: asked.registrar.work):
        program.run(stack.project, stack=stack.name, config=stack.config, monitor=asked, log=log, dry=dry)
        if not asked.registrar.work.errors:
            removal.delete_the_rest(asked.registrar.work)
    return asked.registrar.work


def _up(stack: Stack) -> Work:
    """Plan, then do it; where nothing differs, the plan was all."""
    told: list[StepEvent] = []
    planned = _program(stack, dry=True, report=told.append)
    before = {item["urn"]: item for item in stack.snapshot.resources}
    after = planned.snapshot().resources
    same = len(after) == len(stack.snapshot.resources) and all(before.get(item["urn"]) == item for item in after)
    if same and not stack.snapshot.pending:
        for event in told:
            stack.report(event)
        return planned
    stack.report(StepEvent(operation="plan", phase="planned", counts=dict(planned.counts)))
    return _program(stack, dry=False, report=stack.report)


def _without_program(stack: Stack, what: Callable[[Work], None]) -> Work:
    """Refresh or destroy by what the state says."""
    work = stack.work(dry=False, report=stack.report)
    with _ended(lambda: work):
        what(work)
    return work


_OPERATIONS: dict[str, Callable[[Stack], Work]] = {
    "preview": lambda stack: _program(stack, dry=True, report=stack.report),
    "up": _up,
    "refresh": lambda stack: _without_program(stack, refresh.refresh),
    "destroy": lambda stack: _without_program(stack, removal.delete_the_rest),
}
