"""Compare two catalogues, fact by fact. Pure: takes what `catalogue` reads and snapshots hold, returns data.

Called by `preflight`, which lists the differences of a table in the way, and by `infra.verification`, which shows each
fact as a check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What is said of each kind of object, under the name that people read. What the definition says already is left out:
# a changed delete action is one difference, not two.
_OF_TABLE = {
    "kind": "kind",
    "persistence": "persistence",
    "partition_key": "partition key",
    "inherits": "parent",
    "row_security": "row security",
    "row_security_forced": "row security forced",
    "options": "storage",
    "comment": "comment",
}
_OF_COLUMN = {
    "type": "type",
    "nullable": "nullability",
    "default": "default",
    "generated": "generation",
    "virtual": "computed when read",
    "identity": "identity",
    "collation": "collation",
    "comment": "comment",
}
_OF_CONSTRAINT = {
    "definition": "definition",
    "on_delete": "delete action",
    "on_update": "update action",
    "deferrable": "deferrable",
    "validated": "validated",
    "comment": "comment",
}
_OF_INDEX = {"definition": "definition", "valid": "state", "comment": "comment"}
_OF_OTHERS = {
    "policies": ("policy", ("command", "permissive", "roles", "using", "with_check", "comment")),
    "triggers": ("trigger", ("definition", "enabled", "comment")),
    "views": ("view", ("kind", "definition", "options", "comment")),
    "sequences": ("sequence", ("type", "start", "increment", "minimum", "maximum", "cache", "cycles", "owned_by")),
    "types": ("type", ("kind", "labels", "base", "nullable", "default", "checks", "columns", "comment")),
    "functions": (
        "function",
        (
            *("kind", "language", "returns", "arguments", "volatility", "security"),
            *("strict", "leakproof", "parallel", "settings", "body", "comment"),
        ),
    ),
}
# Said of every object of its kind, even where there is none.
_ALWAYS = {"default"}
_WORDS = {"nullability": ("NULL", "NOT NULL"), "state": ("valid", "invalid")}
_SAID_ELSEWHERE = re.compile(
    r" ON (?:DELETE|UPDATE) (?:CASCADE|RESTRICT|NO ACTION|SET NULL|SET DEFAULT)(?! \()| NOT VALID$"
    r"| DEFERRABLE(?: INITIALLY DEFERRED)?(?= NOT VALID$|$)"
)

# PostgreSQL writes a cast of a whole array of literals; read in again, as pg_dump's text is, each of them is cast.
_LITERAL = r"'(?:[^']|'')*'::[a-z ]+"
_CAST_AS_A_WHOLE = re.compile(rf"\(ARRAY\[({_LITERAL}(?:, {_LITERAL})*)\]\)::([a-z ]+)\[\]")

THERE = "there"
MISSING = "missing"
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is true of a catalogue.

    Attributes:
        kind: Kind of object: "table", "column", "foreign key", "index", …
        object: Its name, with schema and table.
        attribute: What is said of it; empty for that it is there.
        value: What it is, in words.
        within: Kind and name of the object it stands in; its absence makes this fact no news.
    """

    kind: str
    object: str
    attribute: str
    value: str
    within: tuple[str, str]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the fact is about."""
        return (self.kind, self.object, self.attribute)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not as expected.

    Attributes:
        kind: Kind of object.
        object: Its name, with schema and table.
        attribute: What is off; empty where the object itself is missing or not expected.
        expected: What it should be: "missing" where it should not be there.
        actual: What it is.
    """

    kind: str
    object: str
    attribute: str
    expected: str
    actual: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the difference is about, as a fact's."""
        return (self.kind, self.object, self.attribute)

    @property
    def sentence(self) -> str:
        """The difference for people: `column public.chats.query: type is varchar(10), expected text`."""
        if self.attribute:
            return f"{self.kind} {self.object}: {self.attribute} is {self.actual}, expected {self.expected}"
        if self.actual == MISSING:
            return f"{self.kind} {self.object} is missing"
        return f"{self.kind} {self.object} is not expected"

    def __str__(self) -> str:
        return self.sentence


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[Difference]:
    """Return what is not as expected, in the order of the expected catalogue, then what is there and not expected.

    What stands in a missing object is not listed: that the object is missing says it.
    """
    wanted = {fact.key: fact for fact in facts(expected)}
    found = {fact.key: fact for fact in facts(actual)}
    result = []
    for fact in [*wanted.values(), *(fact for key, fact in found.items() if key not in wanted)]:
        lacking, other = (found, wanted) if fact.key in wanted else (wanted, found)
        if fact.within[0] and ((*fact.within, "") not in lacking or (*fact.within, "") not in other):
            continue
        none = NONE if fact.attribute else MISSING
        before = wanted[fact.key].value if fact.key in wanted else none
        now = found[fact.key].value if fact.key in found else none
        # Another set of columns is listed column by column: only the order of the same ones is news.
        same = set(before.split(", ")) == set(now.split(", "))
        if before != now and (fact.attribute != "column order" or same):
            result.append(
                Difference(kind=fact.kind, object=fact.object, attribute=fact.attribute, expected=before, actual=now)
            )
    return result


def facts(catalogue: dict[str, Any]) -> Iterator[Fact]:
    """Yield every fact of a catalogue, an object before what is said of it."""
    schema = catalogue["schema"]["name"]
    if catalogue["schema"].get("stands"):
        yield from _about("schema", schema, catalogue["schema"], {"comment": "comment"}, ("", ""))
    for name, table in catalogue["tables"].items():
        place = f"{schema}.{name}"
        within = ("table", place)
        yield from _about("table", place, table, _OF_TABLE, ("", ""))
        yield Fact(
            kind="table", object=place, attribute="column order", value=", ".join(table["columns"]), within=within
        )
        for column, body in table["columns"].items():
            yield from _about("column", f"{place}.{column}", body, _OF_COLUMN, within)
        for constraint, body in table["constraints"].items():
            core = body | {"definition": _SAID_ELSEWHERE.sub("", body["definition"])}
            yield from _about(body["kind"], f"{constraint} on {place}", core, _OF_CONSTRAINT, within)
        for index, body in table["indexes"].items():
            yield from _about("index", f"{index} on {place}", body, _OF_INDEX, within)
        for kind in ("policies", "triggers"):
            for item, body in table[kind].items():
                yield from _about_other(kind, f"{item} on {place}", body, within)
    for kind in ("views", "sequences", "types", "functions"):
        for item, body in catalogue[kind].items():
            yield from _about_other(kind, item if "." in item else f"{schema}.{item}", body, ("", ""))


def _about_other(plural: str, name: str, body: dict[str, Any], within: tuple[str, str]) -> Iterator[Fact]:
    kind, attributes = _OF_OTHERS[plural]
    yield from _about(kind, name, body, {key: key.replace("_", " ") for key in attributes}, within)


def _about(
    kind: str, name: str, body: dict[str, Any], attributes: dict[str, str], within: tuple[str, str]
) -> Iterator[Fact]:
    """Yield that an object is there, then each of its attributes that has a value."""
    yield Fact(kind=kind, object=name, attribute="", value=THERE, within=within)
    for key, attribute in attributes.items():
        if body.get(key) not in (None, "", []) or attribute in _ALWAYS:
            value = _in_words(attribute, body.get(key))
            yield Fact(kind=kind, object=name, attribute=attribute, value=value, within=(kind, name))


def _in_words(attribute: str, value: Any) -> str:
    """Return a value as people read it, on one line."""
    match value:
        case None:
            return NONE
        case bool():
            yes, no = _WORDS.get(attribute, ("yes", "no"))
            return yes if value else no
        case list():
            return ", ".join(value)
        case _:
            return " ".join(_CAST_AS_A_WHOLE.sub(_cast_one_by_one, str(value)).split())


def _cast_one_by_one(found: re.Match[str]) -> str:
    literals = re.findall(_LITERAL, found[1])
    return f"ARRAY[{', '.join(f'({literal})::{found[2]}' for literal in literals)}]"
