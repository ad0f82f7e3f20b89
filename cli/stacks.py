"""`chatdb up`, `preview`, `refresh` and `destroy`: a whole stack, on whichever engine has it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from cli import engines, leavers, returning, summary, teardown
from cli.confirmation import ask
from cli.console import err, out
from cli.context import has_state, project, server_of, setting, stack_folder, stack_name
from infra.errors import ChatdbError
from infra.promotion import UNRELEASED

if TYPE_CHECKING:
    from embedded.events import Result

DIFFERENT = 2
# What the CLI exits with where `--expect-no-changes` was not met.
PULUMI_UNEXPECTED_CHANGES = 7

Operation = Literal["up", "preview", "refresh", "destroy"]


def up(options: argparse.Namespace) -> int:
    """Bring the stack up and print what there is now; a protected product that leaves it is backed up first."""
    stack = stack_name(options)
    leaving = teardown.departing(stack, options) if teardown.is_protected(stack) else []
    code = _without(leaving, options, stack) if leaving else _operate("up", options)
    return code or summary.show(stack, options)


def _without(leaving: list[str], options: argparse.Namespace, stack: str) -> int:
    """Bring the stack up without some products that it carries.

    Raises:
        ProtectedStackError: the steps that allow it are not done.
    """
    engine = begin(options, stack)
    doing = f"{', '.join(leaving)} cannot be taken out of it"
    settings = teardown.require_steps(stack, leaving, options, doing=doing)
    if not options.yes:
        ask("up", stack)
    teardown.back_up(stack, leaving, settings, options)
    options.yes = True
    with teardown.allowed(stack, settings, engine):
        return _operate("up", options)


def preview(options: argparse.Namespace) -> int:
    """Show what `up` would do."""
    if options.unreleased:
        os.environ[UNRELEASED] = "yes"
    return _operate("preview", options)


def refresh(options: argparse.Namespace) -> int:
    """Read what is really there."""
    return _operate("refresh", options)


def destroy(options: argparse.Namespace) -> int:
    """Remove the stack's resources, then its embedded server and its own folder; protected data only after a backup."""
    stack = stack_name(options)
    if teardown.is_protected(stack):
        return _destroy_protected(options, stack)
    server = server_of(stack)
    if not has_state(stack) and engines.choose(stack, options.engine) == "embedded":
        if server is None or not server.folder.exists():
            out.print(f"stack {stack} is not up: nothing to destroy")
            return 0
        if not options.yes:
            ask("destroy", stack)
    elif code := _operate("destroy", options):
        return code
    return _gone(stack)


def _gone(stack: str) -> int:
    """Remove what is left of a stack on this machine."""
    server = server_of(stack)
    if server is not None:
        server.destroy()
        err.print("removed the embedded server and its data")
    _forget(stack)
    out.print(f"stack {stack} is gone")
    return 0


def _destroy_protected(options: argparse.Namespace, stack: str) -> int:
    """Destroy a protected stack once both steps that allow it are done: back up, then let go or keep.

    Raises:
        ProtectedStackError: a step is not done.
    """
    engine = engines.choose(stack, options.engine)
    if not returning.deployment(stack, engine)["deployment"].get("resources"):
        kept = ", ".join(returning.kept_products(stack, engine))
        back = f"; the data of {kept} is kept, and `chatdb up --stack {stack}` comes back to it" if kept else ""
        out.print(f"stack {stack} is not up: nothing to destroy{back}")
        return 0
    begin(options, stack)
    names = sorted(teardown.facts(stack, options))
    settings = teardown.require_steps(stack, names, options, doing="it is not destroyed")
    empty = teardown.unfinished(stack, options)
    names = [name for name in names if name not in empty]
    if not options.yes:
        ask("destroy", stack)
    teardown.back_up(stack, names, settings, options)
    options.yes = True  # asked above, before the backups were taken
    keeps = settings.on_destroy == "keep" and bool(names)
    where = teardown.where_it_is(stack, names, options) if keeps else []
    with teardown.allowed(stack, settings, engine, empty=empty):
        if code := _operate("destroy", options):
            return code
    if not keeps:
        return _gone(stack)
    _forget(stack, but=("server",))
    for line in where:
        out.print(line)
    return 0


def _forget(stack: str, *, but: Sequence[str] = ()) -> None:
    """Remove the stack's own folder, but for what is named and the passphrase that secrets are still encrypted with.

    Those are the secrets of the stack's file, and of what is kept.
    """
    from embedded.settings import encryption_salt

    folder = stack_folder(stack)
    if not folder.exists():
        return
    needed = (*but, "passphrase") if but or encryption_salt(project(), stack) else ()
    if not any((folder / name).exists() for name in needed):
        shutil.rmtree(folder)
        return
    for path in folder.iterdir():
        if path.name in needed:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _operate(operation: Operation, options: argparse.Namespace) -> int:
    """Run the operation on the engine that has the stack and return the exit status."""
    stack = stack_name(options)
    engine = begin(options, stack)
    if operation in ("up", "preview"):
        if engine == "pulumi":
            engines.select(stack)
        returning.come_back(stack, engine)
    if operation in ("destroy", "up") and not teardown.is_protected(stack):
        leaving = teardown.departing(stack, options) if operation == "up" else None
        if leaving != []:
            leavers.tell(stack, options, leaving)
    return _pulumi(operation, options, stack) if engine == "pulumi" else _embedded(operation, options, stack)


def begin(options: argparse.Namespace, stack: str) -> engines.Engine:
    """Say which engine runs, and start the stack's embedded server where it has one."""
    engine = engines.choose(stack, options.engine)
    err.print(engines.describe(engine, stack))
    server = server_of(stack)
    if server is not None and not server.running():
        server.start(lambda line: err.print(f"  {line}"))
    return engine


def _pulumi(operation: Operation, options: argparse.Namespace, stack: str) -> int:
    """Run the operation on the Pulumi CLI, which talks to the user itself."""
    arguments = [operation, "--stack", stack, *(["--diff"] if operation == "preview" and not options.json else [])]
    if getattr(options, "yes", False):
        arguments += ["--yes", "--skip-preview"]
    if options.json and operation == "preview":
        arguments.append("--json")
    if getattr(options, "expect_no_changes", False):
        arguments.append("--expect-no-changes")
    code = engines.run_pulumi(arguments).returncode
    source = str(setting(stack, "promoteFrom") or "")
    if code not in (0, PULUMI_UNEXPECTED_CHANGES) and operation in ("up", "preview") and source:
        # The CLI says of a source that is not there only that it does not know it: say what to do.
        engines.stack_outputs(source, options, show_secrets=False)
    return DIFFERENT if code == PULUMI_UNEXPECTED_CHANGES else code


def _embedded(operation: Operation, options: argparse.Namespace, stack: str) -> int:
    """Run the operation on the embedded engine: preview first, unless `--yes`, then ask."""
    if operation != "preview" and not options.yes:
        if operation == "up" and not _run("preview", options, stack).changed:
            return 0
        ask(operation, stack)
    try:
        result = _run(operation, options, stack)
    except ChatdbError as error:
        if operation in ("refresh", "destroy") and "password authentication failed" in str(error):
            _explain_stale_password(error, stack)
        raise
    return DIFFERENT if result.changed and getattr(options, "expect_no_changes", False) else 0


def _explain_stale_password(error: ChatdbError, stack: str) -> None:
    """Say how the state gets the administrator's new password: these operations go by the state, not by the secret."""
    if setting(stack, "adminSecret"):
        error.hint = (
            "The secret in AWS may have got a new password since the last up: run "
            f"`chatdb up --stack {stack}`, which reads it anew, then the same command again."
        )


def _run(operation: Operation, options: argparse.Namespace, stack: str) -> Result:
    """Run once and say what became of it."""
    from cli.display import Display, counts_text
    from embedded.engine import deployment

    with Display(for_machine=options.json) as display:
        result = deployment.run(operation, project=project(), stack=stack, report=display)
    if options.json:
        said = {"stack": stack, "operation": operation, "changes": dict(result.changes)}
        print(json.dumps({**said, "access": display.access, "warnings": display.warnings}, ensure_ascii=False))
        return result
    done, same = counts_text(result.changes), result.changes.get("same", 0)
    would = "would be: " if operation == "preview" else ""
    out.print(f"{would}{done}; {same} unchanged" if done else f"nothing to do: {same} resources are as they should be")
    return result
