"""One operation on a stack from start to end: preview, up, refresh, destroy. Called by `cli`.

An update is planned first: the program runs once as a preview, so that what is wrong (a refused input, a protected
resource that would go) is found before anything is done, and nothing more is run where nothing has to change.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Literal

from embedded import lock, settings
from embedded.engine import standing, state, steps
from embedded.engine.errors import joined
from embedded.engine.stack import Stack
from embedded.engine.values import is_known, mask
from embedded.engine.work import Work
from embedded.events import Report, Result, StepEvent


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
    from embedded import program

    began = time.monotonic()
    project = project.resolve()
    settings.stack_file(project, stack)
    folder = state.folder_of(project, stack)
    # A preview leaves nothing behind, not even a lock: it does nothing that another run could get in the way of.
    alone = contextlib.nullcontext() if operation == "preview" else lock.hold(folder, stack=stack, operation=operation)
    with alone, program.inside(project):
        work = _OPERATIONS[operation](Stack(project, stack, report))
    found = [item.get("outputs", {}) for item in work.snapshot().resources if item["type"] == steps.STACK_TYPE]
    return Result(changes=work.counts, outputs=mask(found[0]) if found else {}, seconds=time.monotonic() - began)


def _run(stack: Stack, what: Callable[[Work], None], *, dry: bool = False, report: Report | None = None) -> Work:
    """Do something with a run over the stack; save and close it in any case.

    Raises:
        ChatdbError: What failed in it, with what was done all the same.
    """
    work = Work(stack, dry=dry, report=report or stack.report)
    try:
        what(work)
    finally:
        with contextlib.closing(work):
            work.save()
    if work.errors:
        done = ", ".join(f"{count} {kind}d" for kind, count in sorted(work.counts.items()) if kind != "same")
        done = "Nothing was changed." if dry else f"Saved in the state: {done or 'nothing'}; run again to go on."
        raise joined(work.errors, done=done)
    return work


def _program(stack: Stack, *, dry: bool, report: Report) -> Work:
    """Run the program once, then delete what it did not register."""
    from embedded import policing, program
    from embedded.engine import monitor
    from embedded.engine.registration import Registrar

    def run(work: Work) -> None:
        asked = monitor.Monitor(Registrar(work), stack.config, report)
        try:
            program.run(stack.project, stack=stack.name, config=stack.config, monitor=asked, dry=dry)
        except BaseException:
            work.keep_outputs()
            raise
        if not work.errors:
            standing.delete_the_rest(work)
            if dry:
                policing.require(work.news.values(), stack=stack.name, config=stack.config, report=stack.report)

    return _run(stack, run, dry=dry, report=report)


def _up(stack: Stack) -> Work:
    """Plan, then do it; where nothing is to be done, the plan was all, with what was noted of what stays as it is."""
    told: list[StepEvent] = []
    planned = _program(stack, dry=True, report=told.append)
    before, after = (sorted(found.resources, key=itemgetter("urn")) for found in (stack.snapshot, planned.snapshot()))
    kept, found = ([(item["urn"], item.get("outputs")) for item in items] for items in (before, after))
    if kept == found and planned.counts.keys() <= {"same"} and is_known(after) and not stack.snapshot.pending:
        if before != after:
            stack.save(planned.snapshot())
        for event in told:
            stack.report(event)
        return planned
    stack.report(StepEvent(operation="plan", phase="planned", counts=dict(planned.counts)))
    return _program(stack, dry=False, report=stack.report)


_OPERATIONS: dict[str, Callable[[Stack], Work]] = {
    "preview": lambda stack: _program(stack, dry=True, report=stack.report),
    "up": _up,
    "refresh": lambda stack: _run(stack, standing.refresh),
    "destroy": lambda stack: _run(stack, standing.delete_the_rest),
}
