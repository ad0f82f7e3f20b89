"""Say in which settings two stacks differ, without their secrets. Pure. Called by `cli.promote`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr

from infra.settings.model import StackSettings

SECRET = "[secret]"  # noqa: S105 - what is shown in the place of one


class SettingDifference(NamedTuple):
    """One key that two stacks have different values for, as text: what the first has, and the second."""

    key: str
    first: str
    second: str


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[SettingDifference]:
    """Return each key whose value differs, by its full name, in the order of their names.

    A key that a file lacks has its default. Of two secrets it is not known whether they differ: they are shown as such.

    Args:
        first: What one stack file has by full key ("chatdb:port"); encrypted values as `{"secure": …}`.
        second: The same of the other.
    """
    fields = StackSettings.model_fields.values()
    defaults = {f"chatdb:{field.alias}": field.get_default(call_default_factory=True) for field in fields}
    found = []
    for key in sorted({*first, *second}):
        values = [side.get(key, defaults.get(key)) for side in (first, second)]
        ours, theirs = map(_text, values)
        if ours != theirs or SECRET in (ours, theirs):
            found.append(SettingDifference(key, ours, theirs))
    return found


def _text(value: Any) -> str:
    """Return a value as a person reads it; a secret masked, and nothing for none."""
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, Mapping) and "secure" in value:
        return SECRET
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)
