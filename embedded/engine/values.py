"""Property values: what the SDK sends, what the state holds, what providers see. Pure.

Inside the engine a value is plain Python (None, bool, int, float, str, list, dict) with two additions: `Secret` around
what must not be shown and `UNKNOWN` for what is known only after an update. Numbers arrive as doubles: 5.0 becomes 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

from infra.errors import ChatdbError

# Source: sdk/go/common/resource/properties.go of Pulumi.
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - marks a secret, is none
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
FILE_SIGNATURES: Final = ("c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7")
UNKNOWN_ON_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "[unknown]"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and never shown.

    Attributes:
        value: What is secret.
    """

    value: Any = field(repr=False)


def from_struct(struct: Struct) -> dict[str, Any]:
    """Return the properties that the SDK sent.

    Raises:
        ChatdbError: An asset or archive is among them.
    """
    return {key: _from_wire(value) for key, value in sorted(struct.fields.items())}


def to_struct(values: Mapping[str, Any]) -> Struct:
    """Return the properties as the SDK reads them."""
    struct = Struct()
    struct.update(transform(values, secret=_secret_on_wire, unknown=lambda: UNKNOWN_ON_WIRE))
    return struct


def _secret_on_wire(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET_SIGNATURE, "value": value}


def _from_wire(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == UNKNOWN_ON_WIRE else value.string_value
        case "number_value":
            return whole(value.number_value)
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_from_wire(item) for item in value.list_value.values]
        case "struct_value":
            return _marked({key: _from_wire(item) for key, item in sorted(value.struct_value.fields.items())})
    return None


def _marked(values: dict[str, Any]) -> Any:
    """Return what a signed object stands for; any other is returned as it is."""
    signature = values.get(SIGNATURE)
    if signature is None:
        return values
    if signature == SECRET_SIGNATURE:
        return Secret(values.get("value"))
    if signature == OUTPUT_SIGNATURE:
        inner = values.get("value", UNKNOWN)
        return Secret(inner) if values.get("secret") else inner
    if signature in FILE_SIGNATURES:
        raise ChatdbError(
            "assets and archives are not done by the embedded engine",
            detail="a property holds a pulumi.Asset or pulumi.Archive",
            hint="Use the Pulumi CLI for this program.",
        )
    return values


def whole(number: float) -> int | float:
    """Return a double as an int where it is one."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def transform(
    value: Any, *, secret: Callable[[Any], Any] | None = None, unknown: Callable[[], Any] | None = None
) -> Any:
    """Return a copy of the value with each secret and unknown replaced.

    Args:
        value: Any value; what is inside a secret is transformed first.
        secret: Called with what a secret holds; keeps the `Secret` where it is None.
        unknown: Called for each `UNKNOWN`; keeps it where it is None.
    """
    if isinstance(value, Mapping):
        return {key: transform(item, secret=secret, unknown=unknown) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [transform(item, secret=secret, unknown=unknown) for item in value]
    if isinstance(value, Secret):
        inner = transform(value.value, secret=secret, unknown=unknown)
        return secret(inner) if secret else Secret(inner)
    if value is UNKNOWN and unknown:
        return unknown()
    return value


def unwrap(value: Any) -> Any:
    """Return the value without its secret marks, for a provider."""
    return transform(value, secret=lambda inner: inner)


def mask(value: Any) -> Any:
    """Return the value as it may be shown: `[secret]` and `[unknown]` in place of those."""
    return transform(value, secret=lambda _inner: "[secret]", unknown=lambda: repr(UNKNOWN))


def contains(value: Any, kind: type) -> bool:
    """Tell whether a `Secret` or an `Unknown` stands anywhere in the value."""
    if isinstance(value, kind):
        return True
    if isinstance(value, Mapping):
        return any(contains(item, kind) for item in value.values())
    if isinstance(value, list | tuple):
        return any(contains(item, kind) for item in value)
    return isinstance(value, Secret) and contains(value.value, kind)


def mark_secrets(values: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider gave back, with the secrets marked that stood under the same keys before.

    Source: annotateSecrets in sdk/go/common/resource/plugin/provider_plugin.go of Pulumi.
    """
    marked = dict(values)
    for key in like.keys() & values.keys():
        if isinstance(values[key], Mapping) and isinstance(like[key], Mapping):
            marked[key] = mark_secrets(values[key], like[key])
        elif contains(like[key], Secret) and not isinstance(values[key], Secret):
            marked[key] = Secret(values[key])
    return marked


def from_sdk(value: Any) -> Any:
    """Return what a dynamic provider gave back as the SDK would send it: without None in maps, whole numbers as int."""
    if isinstance(value, Mapping):
        return {str(key): from_sdk(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [from_sdk(item) for item in value]
    if isinstance(value, float):
        return whole(value)
    return UNKNOWN if type(value).__module__ == "pulumi.output" and type(value).__name__ == "Unknown" else value
