"""Choose the engine of a stack, and read its outputs from whichever has it.

The Pulumi CLI is the reference and is used wherever `pulumi` is on PATH, unless the stack's state is here already: then
the embedded engine goes on, since two engines on one stack would each make everything.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Literal

from cli.context import has_state, project
from infra.errors import RefusedError

Engine = Literal["embedded", "pulumi"]


def choose(stack: str, requested: str) -> Engine:
    """Return the engine for a stack.

    Raises:
        ChatdbError: the Pulumi CLI is asked for and is not on PATH.
    """
    if requested == "embedded":
        return "embedded"
    installed = shutil.which("pulumi") is not None
    if requested == "pulumi":
        if not installed:
            raise RefusedError(
                "the Pulumi CLI is not on PATH",
                detail="--engine pulumi (or CHATDB_ENGINE) asks for it.",
                hint="Install it (pulumi.com/docs/install), or use --engine embedded.",
            )
        return "pulumi"
    return "pulumi" if installed and not has_state(stack) else "embedded"


def describe(engine: Engine, stack: str) -> str:
    """Say in one line which engine runs."""
    if engine == "pulumi":
        return f"stack {stack} on the Pulumi CLI"
    reason = "its state is in .chatdb" if shutil.which("pulumi") else "no Pulumi CLI on PATH"
    return f"stack {stack} on the embedded engine ({reason})"


def run_pulumi(arguments: list[str], *, capture: bool = False, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the Pulumi CLI in the project's folder and return what became of it.

    Args:
        arguments: What comes after `pulumi`.
        capture: Return what it prints, and ask the user nothing.
        quiet: Standard output is for a machine: what the CLI prints there goes to standard error.
    """
    policed = ["--policy-pack", "policy"] if arguments[0] in ("up", "preview") else []
    command = ["pulumi", *arguments, *policed, *(["--non-interactive"] if capture else [])]
    environment = {"PULUMI_SKIP_UPDATE_CHECK": "true", **os.environ}
    if capture:
        return subprocess.run(command, cwd=project(), env=environment, capture_output=True, text=True, check=False)
    with subprocess.Popen(command, cwd=project(), env=environment, stdout=sys.stderr if quiet else None) as process:
        while process.returncode is None:
            # Ctrl-C reaches the CLI as well: it ends in its own order, with its state saved and its lock gone.
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    return subprocess.CompletedProcess(command, process.returncode)


def select(stack: str) -> None:
    """Select a stack of the Pulumi CLI, made where there is none.

    Raises:
        ChatdbError: the CLI cannot: nobody is logged in, the passphrase is missing.
    """
    made = run_pulumi(["stack", "select", stack, "--create"], capture=True)
    if made.returncode:
        raise RefusedError(
            f"the Pulumi CLI cannot select stack {stack}",
            detail=" ".join(made.stderr.split()),
            hint="Log in (`pulumi login`, or PULUMI_BACKEND_URL), set PULUMI_CONFIG_PASSPHRASE, and run it again.",
        )


def stack_outputs(stack: str, options: argparse.Namespace, *, show_secrets: bool) -> dict[str, Any]:
    """Return the outputs of a stack.

    Raises:
        ChatdbError: the stack is not up.
    """
    if choose(stack, getattr(options, "engine", None) or "auto") == "embedded":
        from embedded import settings, stackfile

        settings.stack_file(project(), stack)
        if not has_state(stack):
            raise RefusedError(
                f"stack {stack} is not up",
                detail=f"there is no state of it in .chatdb/{stack}",
                hint=f"Bring it up first: chatdb up --stack {stack}",
            )
        return stackfile.outputs(project(), stack, show_secrets=show_secrets)
    secrets = ["--show-secrets"] if show_secrets else []
    done = run_pulumi(["stack", "output", "--json", "--stack", stack, *secrets], capture=True)
    if done.returncode != 0:
        raise RefusedError(
            f"the Pulumi CLI gives no outputs of stack {stack}",
            detail=" ".join(done.stderr.split()),
            hint=f"Bring it up first: chatdb up --stack {stack}",
        )
    outputs: dict[str, Any] = json.loads(done.stdout)
    return outputs
