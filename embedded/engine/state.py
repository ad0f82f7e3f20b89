"""The stack's file: the official deployment JSON (version 3), saved atomically. Called by `deployment` and `cli`.

Resources are kept in the order of their dependencies. Every save is one new file put in the place of the old.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embedded.engine import lock, secrets
from embedded.engine.secrets import Vault
from embedded.engine.steps import STACK_TYPE, Resource
from embedded.engine.values import mask, unwrap
from infra.errors import ChatdbError, unknown_name

# Version of Pulumi whose deployment format this is; stands in the manifest, and its digest beside it.
FORMAT_VERSION = "v3.259.0"


@dataclass
class Snapshot:
    """What a stack is made of.

    Attributes:
        resources: In the order of their dependencies.
        pending: Operations that were under way: a resource and "creating", "updating" or "deleting".
        salt: The salt its secrets were encrypted with; empty for a stack that has no state yet.
    """

    resources: list[Resource] = field(default_factory=list)
    pending: list[tuple[Resource, str]] = field(default_factory=list)
    salt: str = ""


def folder_of(project: Path, stack: str) -> Path:
    """Return the folder of a stack's own files: state, lock, generated passphrase."""
    return project / ".chatdb" / stack


def now() -> str:
    """Return the time as the state holds it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class StateFile:
    """The state of one stack on disk."""

    def __init__(self, project: Path, stack: str) -> None:
        self.path = folder_of(project, stack) / "stack.json"
        self._stack = stack
        # The text of each resource as last written: what has not changed is not encoded again.
        self._texts: dict[int, tuple[Resource, str]] = {}

    def read(self) -> dict[str, Any]:
        """Return the deployment as it stands on disk, secrets encrypted; empty where there is none.

        Raises:
            ChatdbError: The file is damaged.
        """
        try:
            return _checked(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ChatdbError(
                f"the state of stack {self._stack} cannot be read",
                detail=f"{self.path}: {error}",
                hint="Restore the file, or import an export of the stack.",
                state="Nothing was changed.",
            ) from None

    def write(self, snapshot: Snapshot, vault: Vault) -> None:
        """Put the snapshot in the place of the old one, whole or not at all."""
        lines = [self._text(resource, vault) for resource in snapshot.resources]
        pending = [{"resource": _encoded(resource, vault), "type": kind} for resource, kind in snapshot.pending]
        magic = hashlib.sha256(FORMAT_VERSION.encode()).hexdigest()
        deployment = {
            "manifest": {"time": now(), "magic": magic, "version": FORMAT_VERSION},
            "secrets_providers": {"type": "passphrase", "state": {"salt": vault.salt}},
            "resources": "@resources",
            "pending_operations": pending,
        }
        text = json.dumps({"version": 3, "deployment": deployment}, separators=(",", ":"), ensure_ascii=False)
        # One resource a line: a difference between two states can be read.
        self.replace(text.replace('"@resources"', "[\n" + ",\n".join(lines) + "\n]", 1))

    def replace(self, text: str) -> None:
        """Write the text beside the file, flush it to the disk, and put it in its place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".json.new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def _text(self, resource: Resource, vault: Vault) -> str:
        found = self._texts.get(id(resource))
        if found is None or found[0] is not resource:
            text = json.dumps(_encoded(resource, vault), separators=(",", ":"), ensure_ascii=False)
            found = self._texts[id(resource)] = (resource, text)
        return found[1]


def decode(deployment: Mapping[str, Any], vault: Vault) -> Snapshot:
    """Return the snapshot in a deployment as `StateFile.read` gives it, secrets decrypted."""
    inner = deployment.get("deployment", {})
    return Snapshot(
        resources=[_decoded(resource, vault) for resource in inner.get("resources") or ()],
        pending=[(_decoded(item["resource"], vault), item["type"]) for item in inner.get("pending_operations") or ()],
        salt=salt_of(deployment),
    )


def salt_of(deployment: Mapping[str, Any]) -> str:
    """Return the salt of a deployment's secrets; empty where it has none."""
    provider = deployment.get("deployment", {}).get("secrets_providers") or {}
    return str((provider.get("state") or {}).get("salt", ""))


def export_stack(project: Path, stack: str, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the stack as `pulumi stack export` writes it.

    Raises:
        ChatdbError: The stack has no state, or (for `show_secrets`) its passphrase is not known.
    """
    deployment = _existing(project, stack)
    if not show_secrets:
        return deployment
    vault = _vault(project, stack, deployment)
    snapshot = decode(deployment, vault)
    deployment["deployment"]["resources"] = [_encoded(item, vault, show=True) for item in snapshot.resources]
    return deployment


def import_stack(project: Path, stack: str, deployment: Mapping[str, Any]) -> int:
    """Put a deployment in the place of the stack's state; return how many resources it has.

    Raises:
        ChatdbError: It is not a deployment of version 3, is another stack's, or its secrets cannot be decrypted.
    """
    with lock.hold(folder_of(project, stack), stack=stack, operation="import"):
        checked = _checked(dict(deployment))
        resources = checked["deployment"].get("resources") or ()
        others = {item["urn"].split(":")[2] for item in resources} - {stack}
        if others:
            raise ChatdbError(
                f"the deployment is that of stack {', '.join(sorted(others))}, not of {stack}",
                detail="the stack's name is part of the name of every resource in it",
                hint=f"Import it with `--stack {min(others)}`.",
                state="Nothing was changed.",
            )
        vault = _vault(project, stack, checked)
        StateFile(project, stack).write(decode(checked, vault), vault)
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
    found = stack_outputs(project, stack)
    return dict(unwrap(found) if show_secrets else mask(found))


def stack_outputs(project: Path, stack: str) -> dict[str, Any]:
    """Return the outputs of a stack with their secrets marked."""
    deployment = _existing(project, stack)
    roots = [item for item in deployment["deployment"].get("resources") or () if item["type"] == STACK_TYPE]
    vault = _vault(project, stack, deployment)
    return dict(vault.decode(roots[0].get("outputs", {}), f"{roots[0]['urn']}/outputs")) if roots else {}


def _existing(project: Path, stack: str) -> dict[str, Any]:
    deployment = StateFile(project, stack).read()
    if not deployment:
        known = sorted(path.parent.name for path in (project / ".chatdb").glob("*/stack.json"))
        raise unknown_name("stack with a state", stack, known)
    return deployment


def _vault(project: Path, stack: str, deployment: Mapping[str, Any]) -> Vault:
    salt = salt_of(deployment)
    return Vault(secrets.find_passphrase(folder_of(project, stack), stack=stack, create=not salt), salt)


def _checked(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the deployment if this engine can read it."""
    provider = (deployment.get("deployment") or {}).get("secrets_providers") or {}
    kind = provider.get("type", "passphrase")
    if deployment.get("version") != 3 or not isinstance(deployment.get("deployment"), dict) or kind != "passphrase":
        raise ChatdbError(
            "this is not a deployment the embedded engine can read",
            detail=f"version {deployment.get('version')}, secrets provider {kind}; it reads version 3 and passphrase",
            hint="Export it again with `pulumi stack export`, or use the Pulumi CLI.",
            state="Nothing was changed.",
        )
    return deployment


def _encoded(resource: Resource, vault: Vault, *, show: bool = False) -> Resource:
    properties = {key: resource[key] for key in ("inputs", "outputs") if key in resource}
    return resource | {
        key: vault.encode(value, f"{resource['urn']}/{key}", show=show) for key, value in properties.items()
    }


def _decoded(resource: Resource, vault: Vault) -> Resource:
    properties = {key: resource[key] for key in ("inputs", "outputs") if key in resource}
    return resource | {key: vault.decode(value, f"{resource['urn']}/{key}") for key, value in properties.items()}
