"""Export and import a stack, and read its outputs. Called by `cli`; no part of a run.

Outside of the engine, since nothing of it is asked to plan or do anything: these commands read the file that a run
left, or put another in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedded import lock, settings
from embedded.engine import state, steps
from embedded.engine.values import mask, unwrap
from infra.errors import RefusedError, unknown_name


def export_stack(project: Path, stack: str, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the stack as `pulumi stack export` writes it.

    Raises:
        ChatdbError: The stack has no state, or (for `show_secrets`) its passphrase is not known.
    """
    deployment = _existing(project, stack)
    if not show_secrets:
        return deployment
    vault = settings.vault_of(project, stack, state.salt_of(deployment))
    resources = state.decode(deployment, vault).resources
    deployment["deployment"]["resources"] = [vault.encode(item, item["urn"], show=True) for item in resources]
    return deployment


def import_stack(project: Path, stack: str, deployment: Mapping[str, Any]) -> int:
    """Put a deployment in the place of the stack's state; return how many resources it has.

    Raises:
        ChatdbError: It is not a deployment of version 3, is another stack's, or its secrets cannot be decrypted.
    """
    with lock.hold(state.folder_of(project, stack), stack=stack, operation="import"):
        checked = state.checked(dict(deployment))
        resources = checked["deployment"].get("resources") or ()
        others = {item["urn"].split(":")[2] for item in resources} - {stack}
        if others:
            raise RefusedError(
                f"the deployment is that of stack {', '.join(sorted(others))}, not of {stack}",
                detail="the stack's name is part of the name of every resource in it",
                hint=f"Import it with `--stack {min(others)}`.",
            )
        vault = settings.vault_of(project, stack, state.salt_of(checked))
        state.StateFile(project, stack).write(state.decode(checked, vault), vault)
        return len(resources)


def outputs(project: Path, stack: str, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the outputs of a stack as they were after its last update.

    Args:
        project: Folder of the project.
        stack: Name of the stack.
        show_secrets: Return secrets in plain; otherwise `[secret]` stands in their place.

    Raises:
        ChatdbError: The stack has no state, or its passphrase is not known.
    """
    found = _outputs(project, stack)
    return dict(unwrap(found) if show_secrets else mask(found))


def outputs_of_other(project: Path, stack: str, *, asked_by: str) -> dict[str, Any]:
    """Return the outputs of a stack that another one refers to, their secrets marked.

    Args:
        project: Folder of the project.
        stack: Name of the stack.
        asked_by: Name of the one that refers to it.

    Raises:
        ChatdbError: The stack has no state, or its passphrase is not known.
    """
    if not state.StateFile(project, stack).path.exists():
        raise RefusedError(
            f"stack {stack}, which stack {asked_by} refers to, is not up",
            detail=f"there is no state of it in .chatdb/{stack}",
            hint=f"Bring it up first: chatdb up --stack {stack}",
        )
    return _outputs(project, stack, other=True)


def _outputs(project: Path, stack: str, *, other: bool = False) -> dict[str, Any]:
    """Return the outputs of a stack, their secrets marked; `other`: it is not the stack that this run is about."""
    deployment = _existing(project, stack)
    vault = settings.vault_of(project, stack, state.salt_of(deployment), other=other)
    roots = [item for item in deployment["deployment"].get("resources") or () if item["type"] == steps.STACK_TYPE]
    return dict(vault.decode(roots[0], roots[0]["urn"]).get("outputs", {})) if roots else {}


def _existing(project: Path, stack: str) -> dict[str, Any]:
    """Return the deployment of a stack that has one.

    Raises:
        UnknownNameError: The stack has no state; the error names those that have one.
    """
    deployment = state.StateFile(project, stack).read()
    if not deployment:
        known = sorted(path.parent.name for path in (project / ".chatdb").glob("*/stack.json"))
        raise unknown_name("stack with a state", stack, known)
    return deployment
