"""Run the project's program as Pulumi's language host does. Called by `deployment`.

Source: sdk/python/cmd/pulumi-language-python-exec of Pulumi: set_all_config, configure, run_in_stack(runpy).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import runpy
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from embedded.engine.config import Config
from embedded.engine.errors import program_error
from embedded.engine.monitor import EngineLog, Monitor

# The SDK keeps a thread waiting for each registration under way.
THREADS = 64


@contextmanager
def inside(project: Path) -> Iterator[None]:
    """Work in the project's folder, with its modules importable, as the program is used to."""
    before, path = Path.cwd(), list(sys.path)
    os.chdir(project)
    sys.path.insert(0, str(project))
    try:
        yield
    finally:
        sys.path[:] = path
        os.chdir(before)


def run(project: Path, *, stack: str, config: Config, monitor: Monitor, log: EngineLog, dry: bool) -> None:
    """Run `__main__.py` to its end.

    Args:
        project: Folder of the program.
        stack: Name of the stack.
        config: Its settings.
        monitor: Takes the registrations.
        log: Takes the messages.
        dry: Whether this is a preview.

    Raises:
        ChatdbError: The program failed: its own error, or the place and message of any other exception.
    """
    # A context of its own: the SDK keeps its settings in context variables.
    contextvars.copy_context().run(_run, project, stack, config, monitor, log, dry)


def _run(project: Path, stack: str, config: Config, monitor: Monitor, log: EngineLog, dry: bool) -> None:  # noqa: FBT001
    import pulumi
    from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
    from pulumi.runtime.settings import ROOT

    set_all_config(config.plain, config.secret_keys)
    ROOT.set(None)
    configure(
        Settings(
            project=config.project,
            stack=stack,
            monitor=monitor,
            engine=log,
            parallel=THREADS,
            dry_run=dry,
            organization="organization",
            root_directory=str(project),
        )
    )
    # The SDK leaves futures behind when a program fails; asyncio would complain of each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pool = ThreadPoolExecutor(max_workers=THREADS)
    loop.set_default_executor(pool)
    try:
        loop.run_until_complete(run_in_stack(lambda: _execute(project / "__main__.py")))
    except (Exception, SystemExit) as error:
        raise program_error(error) from (error if isinstance(error, pulumi.RunError) else None)
    finally:
        monitor.close()
        pool.shutdown(wait=True, cancel_futures=True)
        loop.close()
        asyncio.set_event_loop(None)


def _execute(file: Path) -> None:
    runpy.run_path(str(file), run_name="__main__")
