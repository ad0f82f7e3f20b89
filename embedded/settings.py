"""Read settings: Pulumi.yaml, Pulumi.<stack>.yaml, the passphrase. Called by `engine.deployment`, `editing`, `cli`.

Outside of the engine, as in Pulumi itself: the command line reads these files where no engine runs, and a run takes
what is read here as plain data.

Source: https://www.pulumi.com/docs/iac/concepts/projects/project-file/ and .../stack-settings-file/
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedded import files
from embedded.engine import state
from embedded.engine.secrets import Vault
from embedded.engine.values import Secret, has_secret, to_json, transform, unwrap
from infra.errors import RefusedError, SettingsError, unknown_name


@dataclass(frozen=True)
class Config:
    """The settings of one stack, as the program sees them.

    Attributes:
        project: Name of the project.
        values: Values by full key, `project:key`, as strings; lists and maps as JSON; secrets marked.
    """

    project: str
    values: Mapping[str, Any] = field(repr=False)

    @property
    def plain(self) -> dict[str, str]:
        """The values without marks, for the program."""
        return dict(unwrap(self.values))

    @property
    def secret_keys(self) -> list[str]:
        """The keys whose values are secrets."""
        return [key for key, value in self.values.items() if isinstance(value, Secret)]


def stack_file(project: Path, stack: str) -> Path:
    """Return the path of the stack's settings.

    Raises:
        UnknownNameError: There is no such file; the error names the stacks that have one.
    """
    path = project / f"Pulumi.{stack}.yaml"
    if path.is_file():
        return path
    known = [file.name.split(".")[1] for file in sorted(project.glob("Pulumi.*.yaml")) if file.name.count(".") == 2]
    raise unknown_name("stack", stack, known)


def project_name(project: Path) -> str:
    """Return the name in Pulumi.yaml."""
    return str(read(project / "Pulumi.yaml")["name"])


def encryption_salt(project: Path, stack: str) -> str:
    """Return the stack file's `encryptionsalt`; empty where it has none."""
    return str(read(stack_file(project, stack)).get("encryptionsalt") or "")


def load(project: Path, stack: str, vault: Vault) -> Config:
    """Return the stack's settings with the project's defaults.

    Raises:
        SettingsError: A file is no YAML, or a key that the project declares has neither value nor default.
        UnknownNameError: There is no such stack.
    """
    declared = read(project / "Pulumi.yaml")
    name = str(declared["name"])
    given = {full_key(name, key): item for key, item in (read(stack_file(project, stack)).get("config") or {}).items()}
    values: dict[str, Any] = {}
    missing = []
    for key, about in (declared.get("config") or {}).items():
        full = full_key(name, key)
        about = about if isinstance(about, dict) else {"value": about}
        default = about.get("value", about.get("default"))
        if default is not None:
            values[full] = Secret(_text(default)) if about.get("secret") else _text(default)
        elif full not in given:
            missing.append(full)
    if missing:
        raise SettingsError(
            f"stack {stack} lacks {', '.join(missing)}",
            detail="Pulumi.yaml declares the key and gives it no default",
            hint=f"Set it: `chatdb config set {missing[0]} VALUE --stack {stack}`.",
        )
    for key, value in given.items():
        opened = _opened(value, vault)
        values[key] = Secret(_text(unwrap(opened))) if has_secret(opened) else _text(opened)
    return Config(name, values)


def stack_values(project: Path, stack: str) -> dict[str, Any]:
    """Return the settings that the stack's own file has, as they stand there: no defaults, secrets encrypted.

    Raises:
        SettingsError: The file is no YAML.
        UnknownNameError: There is no such stack.
    """
    return dict(read(stack_file(project, stack)).get("config") or {})


def open_vault(project: Path, stack: str) -> Vault:
    """Return the vault that a stack's secrets are encrypted with from now on.

    Its salt is the stack file's; where that has none, the state's; where there is no state, a new one.
    """
    salt = encryption_salt(project, stack) or state.salt_of(state.StateFile(project, stack).read())
    return vault_of(project, stack, salt)


def vault_of(project: Path, stack: str, salt: str, *, other: bool = False) -> Vault:
    """Return the vault of a stack's secrets: that of the salt, or a new one where the salt is empty.

    The variables name the passphrase of the stack that a run is about. Without them, one is generated for a new vault,
    and kept with the first secret that is.

    Args:
        project: Folder of the project.
        stack: Name of the stack.
        salt: The salt of its secrets; empty where there are none yet.
        other: Whether a run only refers to the stack: the passphrase that was generated for it comes first then.

    Raises:
        ChatdbError: There are secrets, and their passphrase is not known.
    """
    generated = state.folder_of(project, stack) / "passphrase"
    if other and generated.exists():
        return Vault(generated.read_text(encoding="utf-8").strip(), salt)
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        return Vault(os.environ["PULUMI_CONFIG_PASSPHRASE"], salt)
    named = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    file = Path(named) if named else generated
    with contextlib.suppress(FileNotFoundError):
        return Vault(file.read_text(encoding="utf-8").strip(), salt)
    if named or salt:
        raise RefusedError(
            f"the passphrase of stack {stack} is not known",
            detail=f"PULUMI_CONFIG_PASSPHRASE is not set and {file} does not exist, but the stack has secrets",
            hint="Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.",
        )
    phrase = secrets.token_urlsafe(24)
    return Vault(phrase, keep=functools.partial(files.write_private, file, phrase + "\n", new=True))


def full_key(project: str, key: str) -> str:
    """Return a key with its namespace: the project's, where it has none."""
    return key if ":" in key else f"{project}:{key}"


def _text(value: Any) -> str:
    """Return a value as the program gets it: booleans and numbers as in YAML, lists and maps as JSON."""
    return value if isinstance(value, str) else to_json(value, sort_keys=True)


def _opened(value: Any, vault: Vault) -> Any:
    """Return the value with each `secure:` in it decrypted and marked."""

    def opened(part: Any, _place: str) -> Any:
        sealed = isinstance(part, dict) and list(part) == ["secure"]
        return Secret(vault.decrypt(part["secure"])) if sealed else part

    return transform(value, opened)


def read(path: Path) -> dict[str, Any]:
    """Return a settings file as plain data.

    Raises:
        SettingsError: It is not there, or no YAML.
    """
    from ruamel.yaml.error import YAMLError

    try:
        return copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise SettingsError(
            f"{path.parent} is not a Pulumi project",
            detail=f"{path.name} does not exist there",
            hint="Go to the project's folder, or name it.",
        ) from None
    except YAMLError as error:
        raise SettingsError(
            f"{path.name} is not valid YAML", detail=" ".join(str(error).split()), hint="Mend the line named above."
        ) from None


@functools.lru_cache(maxsize=8)
def _parsed(text: str) -> dict[str, Any]:
    """Return what YAML says; a run asks for the same few texts again and again, and each takes a while."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text) or {}
