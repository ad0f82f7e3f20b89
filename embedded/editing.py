"""Edit a stack's settings in Pulumi.<stack>.yaml; comments and order stay as they are. Called by `cli`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embedded import settings
from infra.errors import unknown_name


def set_value(project: Path, stack: str, key: str, value: str, *, secret: bool = False) -> None:
    """Write one setting into the stack's file.

    The first secret brings the file its `encryptionsalt`: the one of the state where there is a state.

    Args:
        project: Folder of the project.
        stack: Name of the stack.
        key: Key with or without the project's name before it.
        value: The value as text; true, false and whole numbers are written as such, and so are lists and maps where
            Pulumi.yaml declares one: the Pulumi CLI refuses their text there.
        secret: Encrypt it.

    Raises:
        UnknownNameError: There is no such stack.
        ChatdbError: The passphrase is not known or not the right one.
    """
    from infra.settings.decoding import from_json  # it brings pydantic, which only this needs here

    with _document(project, stack) as document:
        full = settings.full_key(settings.project_name(project), key)
        entry = from_json(value) if _is_structured(project, full) else _scalar(value)
        if secret:
            vault = settings.open_vault(project, stack)
            vault.keep()
            entry = {"secure": vault.encrypt(value)}
            document.setdefault("encryptionsalt", vault.salt)
        document.setdefault("config", {})[full] = entry


def remove_value(project: Path, stack: str, key: str) -> None:
    """Take one setting out of the stack's file; what Pulumi.yaml gives as its default holds again.

    Raises:
        UnknownNameError: There is no such stack, or its file does not have the key.
    """
    with _document(project, stack) as document:
        own = document.get("config") or {}
        full = settings.full_key(settings.project_name(project), key)
        if full not in own:
            raise unknown_name(f"setting in Pulumi.{stack}.yaml", full, sorted(own))
        del own[full]


@contextlib.contextmanager
def _document(project: Path, stack: str) -> Iterator[Any]:
    """Give the stack's file to change, and put it back whole where the block comes to its end."""
    from ruamel.yaml import YAML

    path = settings.stack_file(project, stack)
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    document = editor.load(path.read_text(encoding="utf-8")) or {}
    yield document
    beside = path.with_suffix(".yaml.new")
    with beside.open("w", encoding="utf-8") as file:
        editor.dump(document, file)
    beside.replace(path)


def _scalar(value: str) -> Any:
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() and str(int(value)) == value else value


def _is_structured(project: Path, full: str) -> bool:
    """Tell whether Pulumi.yaml declares a key as a list or a map."""
    declared = settings.read(project / "Pulumi.yaml")
    types = {
        settings.full_key(str(declared["name"]), key): about.get("type")
        for key, about in (declared.get("config") or {}).items()
        if isinstance(about, dict)
    }
    return types.get(full) in ("array", "object")
