"""One operation on a stack from start to end: preview, up, refresh, destroy. Called by `cli`.

An update is planned first: the program runs once as a preview, so that what is wrong (a refused input, a protected
resource that would go) is found before anything is done, and nothing more is run where nothing has to change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from embedded.engine import config as configuration
from embedded.engine import lock, secrets, state, steps
from embedded.engine.config import Config
from embedded.engine.errors import NotDoneError, joined
from embedded.engine.events import Report, Result, StepEvent
from embedded.engine.executor import Executor, protected_of, refuse_protected
from embedded.engine.provider import Provider
from embedded.engine.secrets import Vault
from embedded.engine.state import Snapshot, StateFile
from embedded.engine.values import mask
from infra.errors import ChatdbError, unknown_name


@dataclass(frozen=True)
class Stack:
    """A stack that is being worked on."""

    project: Path
    name: str
    config: Config
    vault: Vault
    file: StateFile
    report: Report


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
        ChatdbError: The settings, the program or a resource is wrong, another run is going on, or something failed. What
            was done before stands in the state.
    """
    from embedded.engine import program

    began = time.monotonic()
    project = project.resolve()
    configuration.stack_file(project, stack)
    with lock.hold(state.folder_of(project, stack), stack=stack, operation=operation), program.inside(project):
        opened, snapshot = _open(project, stack, report)
        _tell_interrupted(snapshot, report)
        executor = _OPERATIONS[operation](opened, snapshot)
        after = executor.snapshot()
    roots = [item for item in after.resources if item["type"] == steps.STACK_TYPE]
    outputs = mask(roots[0].get("outputs", {})) if roots else {}
    return Result(changes=executor.counts, outputs=outputs, seconds=time.monotonic() - began)


def _open(project: Path, stack: str, report: Report) -> tuple[Stack, Snapshot]:
    """Read settings and state; the key of the secrets is derived while the SDK is imported."""
    file = StateFile(project, stack)
    deployment = file.read()
    vault = configuration.open_vault(project, stack)
    old_salt = state.salt_of(deployment)
    import pulumi  # noqa: F401 - half a second, beside the key's

    reading = vault
    if old_salt and old_salt != vault.salt:
        folder = state.folder_of(project, stack)
        reading = Vault(secrets.find_passphrase(folder, stack=stack, create=False), old_salt)
    config = configuration.load(project, stack, vault)
    return Stack(project, stack, config, vault, file, report), state.decode(deployment, reading)


def _preview(stack: Stack, snapshot: Snapshot) -> Executor:
    """Run the program without doing anything."""
    return _pass(stack, snapshot, dry=True, report=stack.report)


def _up(stack: Stack, snapshot: Snapshot) -> Executor:
    """Plan, then do it; where nothing differs, the plan was all."""
    told: list[StepEvent] = []
    planned = _pass(stack, snapshot, dry=True, report=told.append)
    if not snapshot.pending and _same(snapshot, planned.snapshot()):
        for event in told:
            if event.operation in ("log", "same"):
                stack.report(event)
        return planned
    stack.report(StepEvent(operation="plan", phase="planned", counts=dict(planned.counts)))
    return _pass(stack, snapshot, dry=False, report=stack.report)


def _refresh(stack: Stack, snapshot: Snapshot) -> Executor:
    """Take over what is really there, without the program."""
    with _Run(stack, snapshot, dry=False, report=stack.report) as executor:
        executor.refresh()
        _finish(executor)
    return executor


def _destroy(stack: Stack, snapshot: Snapshot) -> Executor:
    """Delete everything in the state, without the program."""
    refuse_protected(protected_of(snapshot.resources), "deleted")
    with _Run(stack, snapshot, dry=False, report=stack.report) as executor:
        executor.delete_the_rest()
        _finish(executor)
    return executor


_OPERATIONS: dict[str, Callable[[Stack, Snapshot], Executor]] = {
    "preview": _preview,
    "up": _up,
    "refresh": _refresh,
    "destroy": _destroy,
}


def _pass(stack: Stack, snapshot: Snapshot, *, dry: bool, report: Report) -> Executor:
    """Run the program once over the snapshot."""
    from embedded.engine import monitor, program

    with _Run(stack, snapshot, dry=dry, report=report) as executor:
        program.run(
            stack.project,
            stack=stack.name,
            config=stack.config,
            monitor=monitor.Monitor(executor, stack.config, stack=stack.name),
            log=monitor.EngineLog(report),
            dry=dry,
        )
        if not executor.errors:
            executor.delete_the_rest()
        _finish(executor)
    return executor


def _finish(executor: Executor) -> None:
    """Raise what failed, with what was done all the same."""
    if executor.errors:
        done = ", ".join(f"{count} {kind}" for kind, count in sorted(executor.counts.items())) or "nothing"
        what = "Nothing was changed." if executor.dry else f"Saved in the state: {done}; run again to go on."
        raise joined(executor.errors, done=what)


class _Run:
    """An executor with its providers, closed and saved however the run ends."""

    def __init__(self, stack: Stack, snapshot: Snapshot, *, dry: bool, report: Report) -> None:
        self.executor = Executor(
            snapshot,
            stack=stack.name,
            project=stack.config.project,
            providers=lambda package, inputs: _provider(package, inputs, stack.config),
            read_stack=lambda name: _other_stack(stack, name),
            save=None if dry else lambda found: stack.file.write(found, stack.vault),
            report=report,
        )

    def __enter__(self) -> Executor:
        return self.executor

    def __exit__(self, *_: object) -> None:
        try:
            self.executor.save()
        finally:
            self.executor.close()


def _provider(package: str, inputs: dict[str, Any], config: Config) -> Provider:
    """Return the provider of a package, imported only where it is used."""
    if package == "pulumi-python":
        from embedded.engine.dynamic import DynamicProvider

        return DynamicProvider(config.plain, config.project)
    if package == "postgresql":
        from embedded.engine.postgresql import PostgresqlProvider

        return PostgresqlProvider(inputs)
    raise NotDoneError(f"a resource of package {package}")


def _other_stack(stack: Stack, name: str) -> dict[str, Any]:
    """Return the outputs of a stack of this project, named `stack`, `project/stack` or `organization/project/stack`."""
    *project, wanted = name.split("/")
    if project and project[-1] != stack.config.project:
        raise NotDoneError("a reference to another project's stack", detail=f"{name} is not of {stack.config.project}")
    try:
        return state.stack_outputs(stack.project, wanted)
    except ChatdbError as error:
        if not state.StateFile(stack.project, wanted).path.exists():
            known = sorted(path.parent.name for path in (stack.project / ".chatdb").glob("*/stack.json"))
            raise unknown_name("stack with a state", wanted, known) from None
        raise error from None


def _same(before: Snapshot, after: Snapshot) -> bool:
    """Tell whether a planned run leaves the state as it is; the order of equals does not matter."""
    if len(before.resources) != len(after.resources):
        return False
    olds = {item["urn"]: item for item in before.resources}
    return all(olds.get(item["urn"]) == item for item in after.resources)


def _tell_interrupted(snapshot: Snapshot, report: Report) -> None:
    """Name what a killed run was doing; this run does it again."""
    for resource, kind in snapshot.pending:
        message = f"the last run was interrupted while {kind} {resource['type']} {steps.name_of(resource['urn'])}; it is done again"
        report(StepEvent(operation="log", phase="warning", urn=resource["urn"], message=message))
