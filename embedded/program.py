"""Run the project's program as Pulumi's language host does. Called by `engine.deployment`.

Outside of the engine, as in Pulumi itself: it plans and does nothing, and the engine hears of the program what its
monitor is asked for.

Source: sdk/python/cmd/pulumi-language-python-exec of Pulumi: set_all_config, configure, run_in_stack(runpy).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import re
import runpy
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from embedded.engine.errors import NotDoneError, ResourceError, unforeseen
from embedded.engine.monitor import Monitor
from embedded.interruption import Presses, was_abandoned
from embedded.settings import Config
from infra.errors import ChatdbError
from infra.migrations.telling import LOGGER

_UNSUPPORTED = re.compile(r"The Pulumi CLI does not support (?:the )?(?P<what>.*?)(?: option)?\. Please update")


@contextlib.contextmanager
def inside(project: Path) -> Iterator[None]:
    """Work in the project's folder, with its modules importable, as the program is used to."""
    sys.path.insert(0, str(project))
    try:
        with contextlib.chdir(project):
            yield
    finally:
        sys.path.remove(str(project))


def run(project: Path, *, stack: str, config: Config, monitor: Monitor, dry: bool) -> None:
    """Run `__main__.py` to its end.

    Args:
        project: Folder of the program.
        stack: Name of the stack.
        config: Its settings.
        monitor: Takes the registrations and the messages.
        dry: Whether this is a preview.

    Raises:
        ChatdbError: The program failed: its own error, or the place and message of any other exception.
        KeyboardInterrupt: The user interrupted it; the registration under way came to its end, no other begins.
    """
    from pulumi import RunError
    from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
    from pulumi.runtime.proto.engine_pb2 import INFO, WARNING, LogRequest
    from pulumi.runtime.settings import ROOT, _get_rpc_manager

    def execute() -> None:
        runpy.run_path(str(project / "__main__.py"), run_name="__main__")

    def tell(words: str, severity: Any = WARNING) -> None:
        monitor.Log(LogRequest(severity=severity, message=words))

    async def main() -> None:
        presses.listen()
        set_all_config(config.plain, config.secret_keys)
        ROOT.set(None)
        places: dict[str, Any] = {"organization": "organization", "root_directory": str(project)}
        configure(Settings(config.project, stack, monitor, monitor, dry_run=dry, **places))
        _get_rpc_manager().rpcs.append(_Together())
        try:
            await run_in_stack(execute)
        finally:
            # Without waiting: an interrupted loop still has to let go of its tasks.
            monitor.close()

    # The SDK leaves futures behind when a program fails; asyncio would complain of each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        # The runner cancels what an interrupted run leaves, and waits for its threads. A context of its own: the SDK
        # keeps its settings in context variables.
        with Presses(tell) as presses, _Told(lambda words: tell(words, INFO)):
            runner = asyncio.Runner()
            try:
                runner.run(main(), context=contextvars.copy_context())
            finally:
                if not was_abandoned():
                    runner.close()
    except (Exception, SystemExit) as error:
        raise _in_words(error) from (error if isinstance(error, RunError) else None)


class _Told(logging.Handler):
    """Hands on what resources log while they work, which Pulumi's own process for them writes to standard error."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def __enter__(self) -> None:
        LOGGER.addHandler(self)

    def __exit__(self, *_exception: object) -> None:
        LOGGER.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message."""
        self._tell(record.getMessage())


class _Together:
    """Waits for all of a program's outputs together, as the last request that the SDK waits for.

    The SDK itself waits for whichever of them is next, hundreds of times, and looks at hundreds each time.
    """

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        from pulumi.runtime.settings import SETTINGS

        while pending := [task for task in SETTINGS.outputs if not task.done()]:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            if any(task.cancelled() or task.exception() for task in done):
                return  # the SDK finds it, and says so


def _in_words(error: BaseException) -> ChatdbError:
    """Return what a program raised, in words: its own text for RunError, the place for anything else."""
    # A program that words an error of ours for Pulumi has it behind the text.
    for ours in (error, error.__context__):
        if isinstance(ours, ChatdbError) and (ours is error or type(error).__name__ == "RunError"):
            return ours
    if unsupported := _UNSUPPORTED.search(str(error)):
        return NotDoneError(unsupported["what"])
    known = type(error).__name__ == "RunError"
    return ResourceError(str(error)) if known else unforeseen(error, "the program failed", "the program")
