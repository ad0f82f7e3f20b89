"""Read a stack's settings: every key typed, every mistake reported at once with a valid example.

Pure: takes the configuration as a mapping, returns data or raises. Called by `__main__` with what Pulumi read, and by
the command line with what the stack file holds. Keys are described in `Pulumi.yaml`; a test keeps the two equal.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from infra.errors import SettingsError
from infra.settings import rules
from infra.settings.model import StackSettings
from infra.words import counted

__all__ = ["NAMESPACE", "StackSettings", "load", "mistakes_of"]

NAMESPACE = "chatdb"
IN_PLAIN = "password: stands in plain text; set it with `chatdb config set --secret chatdb:password`"


def load(config: Mapping[str, Any], *, stack: str, secret_keys: Collection[str] = ()) -> StackSettings:
    """Return the settings of a stack.

    Args:
        config: Every configuration value by its full key ("chatdb:host"); keys of other namespaces are left alone.
        stack: Name of the stack, for messages.
        secret_keys: Full keys of the values that are stored encrypted.

    Raises:
        SettingsError: names each key that is wrong or unknown, what is wrong with it and a valid example.
    """
    prefix = f"{NAMESPACE}:"
    values = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    mistakes = _mistakes(values)
    if values.get("password") and f"{prefix}password" not in secret_keys:
        mistakes.append(IN_PLAIN)
    if values.get("promoteFrom") == stack:
        mistakes.append("promoteFrom: names this stack itself; for example dev")
    mistakes += rules.confirmation_mistakes(str(values.get("destroyConfirmation") or ""), stack=stack)
    if not mistakes:
        return StackSettings.model_validate(values)
    raise SettingsError(
        f"the settings of stack {stack} have {counted(len(mistakes), 'mistake')}",
        detail="".join(f"\n  {NAMESPACE}:{line}" for line in mistakes),
        hint=f"Mend them in Pulumi.{stack}.yaml (`chatdb config set --stack {stack}`); Pulumi.yaml has every key.",
    )


def mistakes_of(full_key: str, value: str, *, secret: bool) -> list[str]:
    """Return what is wrong with one value, whatever the other keys say; nothing for keys of other namespaces.

    Args:
        full_key: Its full key ("chatdb:host").
        value: The value as text.
        secret: Whether it will be encrypted.
    """
    namespace, _, key = full_key.partition(":")
    if (namespace, key, secret) == (NAMESPACE, "password", False):
        return [IN_PLAIN]
    try:
        StackSettings.model_validate({key: value} if namespace == NAMESPACE else {})
    except ValidationError as error:
        return [line for entry in error.errors() if entry["loc"][:1] == (key,) for line in _sentences(dict(entry))]
    return []


def _mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return every mistake, a line each.

    A malformed value keeps pydantic from the rules between keys, so those are asked a second time, about the rest.
    """
    first = _validate(values)
    wrong = {line.split(":", 1)[0] for line in first}
    well_formed = {key: value for key, value in values.items() if key not in wrong}
    second = _validate(well_formed) if first else []
    return list(dict.fromkeys([*first, *(line for line in second if line.split(":", 1)[0] not in wrong)]))


def _validate(values: Mapping[str, Any]) -> list[str]:
    try:
        StackSettings.model_validate(values)
    except ValidationError as error:
        return [line for entry in error.errors() for line in _sentences(dict(entry))]
    return []


def _fields_by_key() -> dict[str, str]:
    """Return the field of each key, as `serverFile` → `server_file`."""
    return {field.alias or name: name for name, field in StackSettings.model_fields.items()}


def _sentences(entry: dict[str, Any]) -> list[str]:
    """Return one line per mistake: `key: what is wrong; for example …`, without the value, which may be a secret."""
    if not entry["loc"]:
        return str(entry["ctx"]["error"]).splitlines()
    key = str(entry["loc"][0])
    fields = _fields_by_key()
    if key not in fields:
        close = difflib.get_close_matches(key, fields, n=1)
        meant = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
        return [f"{key}: there is no such key; {meant}"]
    # Where in a map the mistake is; pydantic adds "[key]" where it is a key.
    place = ".".join(str(part) for part in entry["loc"][1:] if part != "[key]" and not isinstance(part, int))
    reason = (f"{place}: " if place else "") + entry["msg"][0].lower() + entry["msg"][1:].replace("tuple", "list")
    example = (StackSettings.model_fields[fields[key]].examples or [""])[0]
    return [f"{key}: {reason}; for example {example}"]
