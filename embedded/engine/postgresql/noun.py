"""What a resource type is made of: the table of its properties and what follows from that alone.

A property's row says how it is checked, filled in, compared, read and set, so that no type decides that for itself.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import psycopg
from psycopg import sql

from embedded.engine.provider import Failure, Values
from embedded.engine.values import is_known

Connection = psycopg.Connection[Any]
Kind = Literal["text", "name", "int", "bool", "list", "set", "output"]
TYPES: Mapping[str, type] = {"text": str, "name": str, "int": int, "bool": bool, "list": list, "set": list}


@dataclass(frozen=True)
class Property:
    """One property of a resource type.

    Attributes:
        kind: What its value is: a name is an identifier in SQL, a list is one of names, a set is a list without order,
            an output is what the server alone decides.
        default: What it is where the program does not give it.
        required: Whether the program must give it.
        fixed: Whether a change replaces the resource.
        open: Whether the server, or another resource, decides it where the program does not give it.
        reads: The SQL that reads it; empty where it cannot be seen.
        makes: What gives it in CREATE, for `said`; empty where it is set afterwards.
        sets: What sets it in ALTER, for `said`; empty where nothing does.
    """

    kind: Kind = "text"
    _: KW_ONLY
    default: Any = None
    required: bool = False
    fixed: bool = False
    open: bool = False
    reads: str = ""
    makes: str = ""
    sets: str = ""

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two values mean the same."""
        one, other = (self.default if value is None else value for value in (one, other))
        return set(one or ()) == set(other or ()) if self.kind == "set" else bool(one == other)

    def mistake(self, value: Any) -> str:
        """Return what is wrong with a value; empty where nothing is."""
        if self.kind == "output":
            return "the embedded engine does not do this property; use the Pulumi CLI"
        if not is_known(value):
            return ""
        wanted = TYPES[self.kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            return "it must be a list" if wanted is list else f"it must be of type {wanted.__name__}"
        return "it must be -1 or more" if isinstance(value, int) and value < -1 else ""

    def parsed(self, value: Any) -> Any:
        """Return what was read by `reads`; a setting comes as PostgreSQL keeps it, as text."""
        if value is None:
            return self.default
        if self.kind == "list":
            return next(csv.reader([value], skipinitialspace=True))
        return int(value) if self.kind == "int" and str(value).isdigit() else value

    def said(self, clause: str, value: Any) -> sql.Composable:
        """Return a clause with the value in place of its braces; without braces it is a word that NO turns round."""
        if "{}" not in clause:
            return sql.SQL(clause if value else f"NO{clause}")
        if (self.fixed and value.upper() == "DEFAULT") or (clause.startswith("SET ") and not value):
            return sql.SQL(clause.format("DEFAULT"))
        make = sql.Identifier if self.kind in {"name", "list"} else sql.Literal
        return sql.SQL(clause).format(sql.SQL(", ").join(map(make, value if self.kind == "list" else [value])))


class Noun:
    """A resource type; its verbs are those of its subclasses.

    Attributes:
        title: What an error calls a resource of it.
        id: Its id, in the format of the official plugin.
        properties: Its properties under their names in Pulumi.
        held: What to do where it is to go and something still depends on it.
        atomic: Whether a verb is one transaction.
    """

    title: str
    id: str
    properties: ClassVar[Mapping[str, Property]]
    held = ""
    atomic = True

    def identify(self, own: Values) -> str:
        """Return the id of a resource."""
        return self.id.format(**own)

    def rules(self, _inputs: Values) -> list[Failure]:
        """Return what is wrong with the properties taken together."""
        return []

    def filled(self, inputs: Values, database: str) -> Values:
        """Return every property: as given, else its default; `database` where no database is given."""
        values: Values = {}
        for name, prop in self.properties.items():
            value = prop.default if inputs.get(name) is None else inputs[name]
            values[name] = sorted(value) if prop.kind == "set" else value
        return values | {"database": values["database"] or database} if "database" in values else values

    def check(self, news: Values) -> list[Failure]:
        """Return everything that is wrong with the inputs."""
        mistakes = {name: self.properties.get(name, Property("output")).mistake(value) for name, value in news.items()}
        missing = [name for name, prop in self.properties.items() if prop.required and news.get(name) in (None, "")]
        mistakes |= dict.fromkeys(missing, "it must be given")
        return [Failure(name, mistake) for name, mistake in mistakes.items() if mistake] or self.rules(news)


def do(connection: Connection, statement: str, values: Mapping[str, Any]) -> None:
    """Run a statement in which names stand in place of its braces; what is SQL already stays that."""
    names = {key: sql.Identifier(value) for key, value in values.items() if isinstance(value, str)}
    said = {key: value for key, value in values.items() if isinstance(value, sql.Composable)}
    connection.execute(sql.SQL(statement).format(**names, **said))
