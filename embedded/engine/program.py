"""Run the project's program as Pulumi's language host does. Called by `deployment`.

Source: sdk/python/cmd/pulumi-language-python-exec of Pulumi: set_all_config, configure, run_in_stack(runpy).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import runpy
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded.engine.errors import program_error
from embedded.engine.monitor import Monitor
from embedded.settings import Config

# The SDK keeps a thread waiting for each registration under way.
THREADS = 64


@contextlib.contextmanager
def inside(project: Path) -> Iterator[None]:
    """Work in the project's folder, with its modules importable, as the program is used to."""
    path = list(sys.path)
    sys.path.insert(0, str(project))
    try:
        with contextlib.chdir(project):
            yield
    finally:
        sys.path[:] = path


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
    import pulumi
    from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
    from pulumi.runtime.settings import ROOT

    def execute() -> None:
        runpy.run_path(str(project / "__main__.py"), run_name="__main__")

    async def main() -> None:
        set_all_config(config.plain, config.secret_keys)
        ROOT.set(None)
        configure(
            Settings(
                project=config.project,
                stack=stack,
                monitor=monitor,
                engine=monitor,
                parallel=THREADS,
                dry_run=dry,
                organization="organization",
                root_directory=str(project),
            )
        )
        asyncio.get_running_loop().set_default_executor(pool)
        try:
            await run_in_stack(execute)
        finally:
            # Without waiting: an interrupted loop still has to let go of its tasks.
            monitor.close()

    # The SDK leaves futures behind when a program fails; asyncio would complain of each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    pool = ThreadPoolExecutor(max_workers=THREADS)
    try:
        # The runner cancels what an interrupted run leaves, and waits for its threads. A context of its own: the SDK
        # keeps its settings in context variables.
        with asyncio.Runner() as runner:
            runner.run(main(), context=contextvars.copy_context())
    except (Exception, SystemExit) as error:
        raise program_error(error) from (error if isinstance(error, pulumi.RunError) else None)
