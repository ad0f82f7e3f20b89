"""The stack's file: the official deployment JSON (version 3), saved atomically. Called all over `embedded`.

Resources are kept in the order of their dependencies. Every save is one new file put in the place of the old.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embedded import files
from embedded.engine.secrets import Vault
from embedded.engine.steps import Resource, without_notes
from embedded.engine.values import to_json
from infra.errors import RefusedError

# Version of Pulumi whose deployment format this is; stands in the manifest, and its digest beside it.
FORMAT_VERSION = "v3.259.0"
MAGIC = hashlib.sha256(FORMAT_VERSION.encode()).hexdigest()


@dataclass
class Snapshot:
    """What a stack is made of.

    Attributes:
        resources: In the order of their dependencies.
        pending: Operations that were under way: a resource and "creating", "updating" or "deleting".
    """

    resources: list[Resource] = field(default_factory=list)
    pending: list[tuple[Resource, str]] = field(default_factory=list)


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
            return checked(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            what, why = f"the state of stack {self._stack} cannot be read", f"{self.path}: {error}"
            raise RefusedError(what, detail=why, hint="Restore it, or import an export of the stack.") from None

    def write(self, snapshot: Snapshot, vault: Vault) -> None:
        """Put the snapshot in the place of the old one, whole or not at all."""
        vault.keep()
        lines = [self._text(resource, vault) for resource in snapshot.resources]
        pending = [{"resource": vault.encode(item, item["urn"]), "type": kind} for item, kind in snapshot.pending]
        deployment = {
            "manifest": {"time": now(), "magic": MAGIC, "version": FORMAT_VERSION},
            "secrets_providers": {"type": "passphrase", "state": {"salt": vault.salt}},
            "resources": "@resources",
            "pending_operations": pending,
        }
        text = to_json({"version": 3, "deployment": deployment})
        # One resource a line: a difference between two states can be read.
        text = text.replace('"@resources"', "[\n" + ",\n".join(lines) + "\n]", 1)
        files.replace_private(self.path, text)

    def _text(self, resource: Resource, vault: Vault) -> str:
        found = self._texts.get(id(resource))
        if found is None or found[0] is not resource:
            found = self._texts[id(resource)] = (resource, to_json(vault.encode(resource, resource["urn"])))
        return found[1]


def decode(deployment: Mapping[str, Any], vault: Vault) -> Snapshot:
    """Return the snapshot in a deployment, secrets decrypted, without what the official provider noted for itself."""
    inner = deployment.get("deployment", {})
    pending = inner.get("pending_operations") or ()
    return Snapshot(
        [without_notes(vault.decode(item, item["urn"])) for item in inner.get("resources") or ()],
        [(vault.decode(item["resource"], item["resource"]["urn"]), item["type"]) for item in pending],
    )


def salt_of(deployment: Mapping[str, Any]) -> str:
    """Return the salt of a deployment's secrets; empty where it has none."""
    provider = deployment.get("deployment", {}).get("secrets_providers") or {}
    return str((provider.get("state") or {}).get("salt", ""))


def checked(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the deployment if this engine can read it.

    Raises:
        ChatdbError: It is none, of another version, or encrypted in another way.
    """
    provider = (deployment.get("deployment") or {}).get("secrets_providers") or {}
    kind = provider.get("type", "passphrase")
    if deployment.get("version") != 3 or not isinstance(deployment.get("deployment"), dict) or kind != "passphrase":
        detail = f"version {deployment.get('version')}, secrets provider {kind}; it reads version 3 and passphrase"
        hint = "Export it again with `pulumi stack export`, or use the Pulumi CLI."
        raise RefusedError("this is not a deployment the embedded engine can read", detail=detail, hint=hint)
    return deployment
