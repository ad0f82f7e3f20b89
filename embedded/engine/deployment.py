"""One operation on a stack from start to end: preview, up, refresh, destroy. Called by `cli`.

An update is planned first: the program runs once as a preview, so that what is wrong (a refused input, a protected
resource that would go) is found before anything is done, and nothing more is run where nothing has to change.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from embedded import settings, stackfile
from embedded.engine import lock, refresh, removal, state, steps
from embedded.engine.errors import NotDoneError, joined
from embedded.engine.provider import Provider
from embedded.engine.state import Snapshot
from embedded.engine.values import mask
from embedded.engine.work import Work
from embedded.events import Report, Result, StepEvent
from embedded.settings import Config


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
    settings.stack_file(project, stack)
    with lock.hold(state.folder_of(project, stack), stack=stack, operation=operation), program.inside(project):
        work = _OPERATIONS[operation](Stack(project, stack, report))
    found = [item.get("outputs", {}) for item in work.snapshot().resources if item["type"] == steps.STACK_TYPE]
    return Result(changes=work.counts, outputs=mask(found[0]) if found else {}, seconds=time.monotonic() - began)


class Stack:
    """A stack that is worked on: its settings, its state, its secrets."""

    def __init__(self, project: Path, name: str, report: Report) -> None:
        self.project, self.name, self.report = project, name, report
        self.file = state.StateFile(project, name)
        self._deployment = self.file.read()
        # From here on the key of the secrets is derived, beside everything else.
        self.vault = settings.open_vault(project, name)

    @functools.cached_property
    def config(self) -> Config:
        """The settings, decrypted."""
        return settings.load(self.project, self.name, self.vault)

    @functools.cached_property
    def snapshot(self) -> Snapshot:
        """The state, decrypted; what a killed run was doing is told."""
        salt = state.salt_of(self._deployment)
        same = salt in ("", self.vault.salt)
        vault = self.vault if same else settings.vault_of(self.project, self.name, salt)
        snapshot = state.decode(self._deployment, vault)
        for resource, kind in snapshot.pending:
            name = f"{resource['type']} {steps.name_of(resource['urn'])}"
            message = f"the last run was interrupted while {kind} {name}; it is done again"
            self.report(StepEvent(operation="log", phase="warning", urn=resource["urn"], message=message))
        return snapshot

    def provider(self, package: str, inputs: dict[str, Any]) -> Provider:
        """Return the provider of a package, imported only where it is used."""
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
            other = f"{name} is not of {self.config.project}"
            raise NotDoneError("a reference to another project's stack", detail=other)
        return stackfile.outputs_of_other(self.project, stack, asked_by=self.name)


def _run(
    stack: Stack, what: Callable[[Callable[[], Work]], None], *, dry: bool = False, report: Report | None = None
) -> Work:
    """Do something with a run over the stack, which begins when it is first asked for; save and close it in any case.

    Raises:
        ChatdbError: What failed in it, with what was done all the same.
    """

    @functools.cache
    def work() -> Work:
        return Work(
            stack.snapshot,
            stack=stack.name,
            project=stack.config.project,
            providers=stack.provider,
            read_stack=stack.read_other,
            save=None if dry else lambda found: stack.file.write(found, stack.vault),
            report=report or stack.report,
        )

    try:
        what(work)
    finally:
        with contextlib.closing(work()):
            work().save()
    if work().errors:
        done = ", ".join(f"{count} {kind}" for kind, count in sorted(work().counts.items())) or "nothing"
        done = "Nothing was changed." if dry else f"Saved in the state: {done}; run again to go on."
        raise joined(work().errors, done=done)
    return work()


def _program(stack: Stack, *, dry: bool, report: Report) -> Work:
    """Run the program once, then delete what it did not register."""
    from embedded import policing
    from embedded.engine import monitor, program
    from embedded.engine.registration import Registrar

    def run(work: Callable[[], Work]) -> None:
        asked = monitor.Monitor(lambda: Registrar(work()), stack.config, report)
        try:
            program.run(stack.project, stack=stack.name, config=stack.config, monitor=asked, dry=dry)
        except BaseException:
            work().keep_outputs()
            raise
        if not work().errors:
            removal.delete_the_rest(work())
            if dry:
                policing.require(work().news.values(), stack=stack.name, config=stack.config, report=stack.report)

    return _run(stack, run, dry=dry, report=report)


def _up(stack: Stack) -> Work:
    """Plan, then do it; where nothing differs, the plan was all."""
    told: list[StepEvent] = []
    planned = _program(stack, dry=True, report=told.append)
    before, after = (sorted(found.resources, key=itemgetter("urn")) for found in (stack.snapshot, planned.snapshot()))
    if before == after and not stack.snapshot.pending:
        for event in told:
            stack.report(event)
        return planned
    stack.report(StepEvent(operation="plan", phase="planned", counts=dict(planned.counts)))
    return _program(stack, dry=False, report=stack.report)


_OPERATIONS: dict[str, Callable[[Stack], Work]] = {
    "preview": lambda stack: _program(stack, dry=True, report=stack.report),
    "up": _up,
    "refresh": lambda stack: _run(stack, lambda work: refresh.refresh(work())),
    "destroy": lambda stack: _run(stack, lambda work: removal.delete_the_rest(work())),
}
