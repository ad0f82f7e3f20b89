"""Property values: what the SDK sends, what the state holds, what providers see. Pure.

Inside the engine a value is plain Python (None, bool, int, float, str, list, dict) with two additions: `Secret` around
what must not be shown and, for what is known only after an update, the text that says so in the SDK's messages too.
Numbers arrive as doubles: 5.0 becomes 5.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from embedded.engine.errors import NotDoneError

# Source: sdk/go/common/resource/properties.go of Pulumi.
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - marks a secret, is none
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
FILE_SIGNATURES: Final = ("c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7")
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# JSON as Pulumi writes it.
to_json = functools.partial(json.dumps, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and never shown; there is none inside another.

    Attributes:
        value: What is secret.
    """

    value: Any = field(repr=False)


def transform(value: Any, change: Callable[[Any, str], Any], place: str = "") -> Any:
    """Return a copy of the value in which each part is what `change` makes of it, the innermost first.

    Args:
        value: Any value.
        change: Takes a part (a plain value, a list or map, a `Secret`) and its place, as `parts/3/name`.
        place: The value's own place.
    """
    if isinstance(value, Mapping):
        value = {key: transform(item, change, f"{place}/{key}") for key, item in value.items()}
    elif isinstance(value, list | tuple):
        value = [transform(item, change, f"{place}/{i}") for i, item in enumerate(value)]
    elif isinstance(value, Secret):
        value = Secret(transform(value.value, change, place))
    return change(value, place)


def received(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that the SDK sent, given as JSON, but for None: the official engine drops it.

    Raises:
        NotDoneError: An asset or archive is among them.
    """
    found = transform(message, _received)
    return {key: value for key, value in found.items() if value is not None}


def to_struct(values: Mapping[str, Any]) -> Struct:
    """Return the properties as the SDK reads them."""

    def sent(part: Any, _place: str) -> Any:
        return {SIGNATURE: SECRET_SIGNATURE, "value": part.value} if isinstance(part, Secret) else part

    return ParseDict(transform(values, sent), Struct())


def _received(value: Any, _place: str) -> Any:
    """Return what a part of a message stands for; maps are sorted, since a message has no order."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if not isinstance(value, dict):
        return value
    signature = value.get(SIGNATURE)
    if signature in FILE_SIGNATURES:
        raise NotDoneError("what has assets and archives", detail="a property holds a pulumi.Asset or pulumi.Archive")
    if signature not in (SECRET_SIGNATURE, OUTPUT_SIGNATURE):
        return dict(sorted(value.items()))
    inner = value.get("value", UNKNOWN)
    return Secret(unwrap(inner)) if signature == SECRET_SIGNATURE or value.get("secret") else inner


def unwrap(value: Any) -> Any:
    """Return the value without its secret marks, for a provider."""
    return transform(value, lambda part, _: part.value if isinstance(part, Secret) else part)


def mask(value: Any) -> Any:
    """Return the value as it may be shown: `[secret]` and `[unknown]` in place of those."""

    def shown(part: Any, _place: str) -> Any:
        return "[secret]" if isinstance(part, Secret) else "[unknown]" if part == UNKNOWN else part

    return transform(value, shown)


def is_known(value: Any) -> bool:
    """Tell whether all of the value is known, also what is secret in it."""
    return UNKNOWN not in repr(unwrap(value))


def has_secret(value: Any) -> bool:
    """Tell whether a secret stands anywhere in the value."""
    return bool(unwrap(value) != value)


def mark_secrets(values: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider gave back, with the secrets marked that stood under the same keys before.

    Source: annotateSecrets in sdk/go/common/resource/plugin/provider_plugin.go of Pulumi.
    """
    marked = dict(values)
    for key in like.keys() & values.keys():
        if isinstance(values[key], Mapping) and isinstance(like[key], Mapping):
            marked[key] = mark_secrets(values[key], like[key])
        elif has_secret(like[key]) and not isinstance(values[key], Secret):
            marked[key] = Secret(unwrap(values[key]))
    return marked


def from_sdk(value: Any) -> Any:
    """Return what a dynamic provider gave back as the SDK would send it: without None in maps, whole numbers as int."""
    from pulumi.output import Unknown as UnknownInSdk

    def sent(part: Any, place: str) -> Any:
        if isinstance(part, dict):
            return {str(key): item for key, item in part.items() if item is not None}
        return UNKNOWN if isinstance(part, UnknownInSdk) else _received(part, place)

    return transform(value, sent)


def to_sdk(value: Any) -> Any:
    """Return a copy with the SDK's own mark for what is not known."""
    from pulumi.output import UNKNOWN as UNKNOWN_IN_SDK

    return transform(value, lambda part, _: UNKNOWN_IN_SDK if part == UNKNOWN else part)
