"""What a resource type is made of: the table of its properties and its five verbs. Pure.

Properties are checked, filled in and compared by their table alone, so that no type decides that for itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from embedded.engine.postgresql.session import Session
from embedded.engine.provider import Failure
from embedded.engine.values import Unknown, contains

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property of a resource type.

    Attributes:
        kind: What its value is; a set is a list without order.
        default: What it is where the program does not give it.
        required: Whether the program must give it.
        fixed: Whether a change replaces the resource.
        open: Whether the server, or another resource, decides it where the program does not give it.
        choices: The values allowed, for each item of a set; empty for any.
    """

    kind: Literal["str", "int", "bool", "list", "set"] = "str"
    default: Any = None
    required: bool = False
    fixed: bool = False
    open: bool = False
    choices: tuple[str, ...] = ()

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two values mean the same."""
        one, other = (self.default if value is None else value for value in (one, other))
        return set(one or ()) == set(other or ()) if self.kind == "set" else bool(one == other)

    def mistake(self, value: Any) -> str:
        """Return what is wrong with a value; empty where nothing is."""
        if contains(value, Unknown):
            return ""
        types: dict[str, type] = {"str": str, "int": int, "bool": bool}
        if not isinstance(value, types.get(self.kind, list)) or (self.kind == "int" and isinstance(value, bool)):
            return f"it must be {'a list' if self.kind in {'list', 'set'} else 'of type ' + self.kind}"
        if isinstance(value, int) and value < -1:
            return "it must be -1 or more"
        foreign = [item for item in (value if isinstance(value, list) else [value]) if item not in self.choices]
        return f"{foreign[0]!r} is not one of {', '.join(self.choices)}" if self.choices and foreign else ""


@dataclass(frozen=True, kw_only=True)
class Noun:
    """A resource type.

    Attributes:
        properties: Its properties under their names in Pulumi.
        identify: Its id, in the format of the official plugin.
        read: Its properties as they are in the database; None where it does not exist.
        create: Make it; the flag tells that an earlier run began to, so that what stands may be its work.
        update: Change it from the first values to the second.
        delete: Remove it where it stands.
        rules: What is wrong with the properties taken together.
    """

    properties: Mapping[str, Property]
    identify: Callable[[Values], str]
    read: Callable[[Session, Values], Values | None]
    create: Callable[[Session, Values, bool], None]
    update: Callable[[Session, Values, Values], None]
    delete: Callable[[Session, Values], None]
    rules: Callable[[Values], list[Failure]] = lambda _: []

    def filled(self, inputs: Values, database: str) -> Values:
        """Return every property: as given, else its default; `database` where no database is given."""
        values: Values = {}
        for name, prop in self.properties.items():
            value = inputs.get(name)
            value = prop.default if value is None else value
            values[name] = sorted(value) if prop.kind == "set" else value
        return values | {"database": values["database"] or database} if "database" in values else values

    def check(self, news: Values) -> list[Failure]:
        """Return everything that is wrong with the inputs."""
        failures = []
        for name, value in news.items():
            if name not in self.properties:
                failures.append(Failure(name, "the embedded engine does not do this property; use the Pulumi CLI"))
            elif mistake := self.properties[name].mistake(value):
                failures.append(Failure(name, mistake))
        missing = [name for name, prop in self.properties.items() if prop.required and news.get(name) in (None, "")]
        return failures + [Failure(name, "it must be given") for name in missing] or self.rules(news)


def in_order(items: Sequence[str]) -> list[str]:
    """Return a set's items in the order in which the official plugin's ids name them: by their CRC-32 as text.

    Source: https://github.com/hashicorp/terraform-plugin-sdk/blob/main/helper/schema/set.go
    """
    return sorted(items, key=lambda item: str(zlib.crc32(item.encode())))
