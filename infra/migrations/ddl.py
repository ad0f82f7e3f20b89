"""Write the statements that lead from one catalogue to another, one object at a time. Pure: facts in, SQL out.

Called by `drafting`, which puts them in order. What a statement here cannot do (another column order, a new parent)
yields none: the draft is tried and compared afterwards, and what is left is named.

Source: https://www.postgresql.org/docs/18/sql-commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Facts = Mapping[str, Any]

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
_AT_ITS_END = re.compile(r" NOT VALID$")


class Step(NamedTuple):
    """One statement of a draft.

    Attributes:
        phase: When it runs among the others; equal ones keep their order.
        text: The statement, without its semicolon.
        note: What it is for.
        review: What a reviewer must decide; empty where it is plain.
        lock: What it locks, for the top of the file.
        online: Whether it runs outside a transaction, or gains only by that.
    """

    phase: int
    text: str
    note: str
    review: str = ""
    lock: str = ""
    online: bool = False


# The phases: what goes, then what comes.
(
    DROP_POLICY,
    DROP_TRIGGER,
    DROP_VIEW,
    DROP_FOREIGN_KEY,
    DROP_CONSTRAINT,
    DROP_INDEX,
    DROP_COLUMN,
    DROP_TABLE,
    DROP_FUNCTION,
    DROP_TYPE,
    TYPE,
    FUNCTION,
    TABLE,
    COLUMN,
    INDEX,
    CONSTRAINT,
    VALIDATE,
    STORAGE,
    TRIGGER,
    POLICY,
    VIEW,
    COMMENT,
) = range(22)


def quoted(*names: str) -> str:
    """Return a name as SQL, in quotes only where it needs them."""
    from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

    taken = RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS
    return ".".join(
        name if _PLAIN.fullmatch(name) and name not in taken else '"' + name.replace('"', '""') + '"' for name in names
    )


def literal(text: str | None) -> str:
    """Return a text as SQL; NULL for none."""
    if text is None:
        return "NULL"
    escaped = text.replace("'", "''")
    return f"E'{escaped}'".replace("\\", "\\\\") if "\\" in text else f"'{escaped}'"


def column(name: str, facts: Facts) -> str:
    """Return a column as it stands in CREATE TABLE and ADD COLUMN."""
    words = [quoted(name), facts["type"]]
    if facts.get("collation"):
        words.append(f"COLLATE {quoted(facts['collation'])}")
    if facts.get("generated"):
        words.append(f"GENERATED ALWAYS AS ({facts['generated']}) {'VIRTUAL' if facts.get('virtual') else 'STORED'}")
    if facts.get("identity"):
        words.append(f"GENERATED {facts['identity'].upper()} AS IDENTITY")
    if not facts["nullable"] and not facts.get("identity"):
        words.append("NOT NULL")
    if facts.get("default"):
        words.append(f"DEFAULT {facts['default']}")
    return " ".join(words)


def table(place: str, facts: Facts, *, later: set[str]) -> Step:
    """Return CREATE TABLE with its columns and constraints; those of `later` come by themselves, to end a circle."""
    lines = [column(name, body) for name, body in facts["columns"].items()]
    for name, body in facts["constraints"].items():
        if name not in later:
            lines.append(f"CONSTRAINT {quoted(name)} {_AT_ITS_END.sub('', body['definition'])}")
    text = f"CREATE {'UNLOGGED ' if facts['persistence'] == 'unlogged' else ''}TABLE {place} (\n    "
    text += ",\n    ".join(lines) + "\n)"
    if facts.get("partition_key"):
        text += f" PARTITION BY {facts['partition_key']}"
    if facts.get("options"):
        text += f" WITH ({', '.join(facts['options'])})"
    points = [body for body in facts["constraints"].values() if body["kind"] == "foreign key"]
    lock = "the tables that its foreign keys point to, against writes (SHARE ROW EXCLUSIVE), for a moment"
    return Step(TABLE, text, f"The table {place}.", lock=lock if points else "")


def column_changes(place: str, name: str, old: Facts, new: Facts) -> Iterator[Step]:
    """Yield what makes one column another."""
    alter = f"ALTER TABLE {place} ALTER COLUMN {quoted(name)}"
    moment = f"{place} against everything (ACCESS EXCLUSIVE)"
    if (old["type"], old.get("collation")) != (new["type"], new.get("collation")):
        collate = f" COLLATE {quoted(new['collation'])}" if new.get("collation") else ""
        # A longer varchar needs no conversion, and without one no rewrite.
        same = old["type"].partition("(")[0] == new["type"].partition("(")[0]
        using = "" if same else f" USING {quoted(name)}::{new['type']}"
        yield Step(
            COLUMN,
            f"{alter} TYPE {new['type']}{collate}{using}",
            f"{name} was {old['type']}.",
            "A longer varchar is free; most others rewrite the table under the lock: fill a new column in batches.",
            f"{moment}, while it is rewritten",
        )
    if old.get("default") != new.get("default"):
        change = f"SET DEFAULT {new['default']}" if new.get("default") else "DROP DEFAULT"
        yield Step(COLUMN, f"{alter} {change}", f"The default of {name} for rows to come.", lock=f"{moment}, a moment")
    if old["nullable"] != new["nullable"]:
        review = "It reads all rows under the lock. Online: CHECK (… IS NOT NULL) NOT VALID, VALIDATE, then this."
        yield Step(
            COLUMN,
            f"{alter} {'DROP' if new['nullable'] else 'SET'} NOT NULL",
            f"Whether {name} may be empty.",
            "" if new["nullable"] else review,
            f"{moment}, a moment" if new["nullable"] else f"{moment}, while its rows are read",
        )
    if old.get("generated") and not new.get("generated"):
        yield Step(COLUMN, f"{alter} DROP EXPRESSION", f"{name} is an ordinary column now.", lock=f"{moment}, a moment")
    if old.get("identity") != new.get("identity"):
        if not new.get("identity"):
            change = "DROP IDENTITY"
        else:
            verb = "SET GENERATED {}" if old.get("identity") else "ADD GENERATED {} AS IDENTITY"
            change = verb.format(new["identity"].upper())
        yield Step(COLUMN, f"{alter} {change}", f"How {name} counts.", lock=f"{moment}, a moment")


def constraint(place: str, name: str, facts: Facts, index: Facts | None) -> Iterator[Step]:
    """Yield what adds a constraint to a table that is in use."""
    add = f"ALTER TABLE {place} ADD CONSTRAINT {quoted(name)}"
    definition = _AT_ITS_END.sub("", facts["definition"])
    if facts["kind"] in ("primary key", "unique") and index:
        yield from index_build(place, name, index)
        deferrable = definition.rpartition(")")[2]
        yield Step(
            CONSTRAINT,
            f"{add} {facts['kind'].upper()} USING INDEX {quoted(name)}{deferrable}",
            f"The {facts['kind']} takes the index over.",
            lock=f"{place} against everything (ACCESS EXCLUSIVE), a moment",
            online=True,
        )
        return
    if facts["kind"] == "exclusion":
        review = "It builds its index under the lock: there is no way to build it online."
        lock = f"{place} against everything (ACCESS EXCLUSIVE), while its index is built"
        yield Step(CONSTRAINT, f"{add} {definition}", f"The {facts['kind']} {name}.", review, lock)
        return
    both = " and the table it points to" if facts["kind"] == "foreign key" else ""
    strength = "against writes (SHARE ROW EXCLUSIVE)" if both else "against everything (ACCESS EXCLUSIVE)"
    lock = f"{place}{both} {strength}, a moment"
    note = f"The {facts['kind']} {name}, for rows to come."
    yield Step(CONSTRAINT, f"{add} {definition} NOT VALID", note, lock=lock, online=True)
    if facts["validated"]:
        yield validation(place, name)


def validation(place: str, name: str) -> Step:
    """Return what checks the rows that are there, while others read and write."""
    text = f"ALTER TABLE {place} VALIDATE CONSTRAINT {quoted(name)}"
    lock = f"{place} against other changes of its shape (SHARE UPDATE EXCLUSIVE), while its rows are read"
    return Step(VALIDATE, text, "And for the rows that are there.", lock=lock, online=True)


def index_build(place: str, name: str, facts: Facts, *, used: bool = True) -> Iterator[Step]:
    """Yield the statement that builds an index, online where its table is in use."""
    text = facts["definition"]
    if used:
        text = re.sub(r"^(CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", text)
    lock = f"{place}: built online (SHARE UPDATE EXCLUSIVE), reads and writes go on" if used else ""
    yield Step(INDEX, text, f"The index {name}.", lock=lock, online=used)


def policy(place: str, name: str, facts: Facts) -> Step:
    """Return CREATE POLICY."""
    text = f"CREATE POLICY {quoted(name)} ON {place}"
    text += "" if facts["permissive"] else " AS RESTRICTIVE"
    text += f"\n    FOR {facts['command'].upper()} TO {_roles(facts)}" + _predicates(facts)
    return Step(POLICY, text, f"The policy {name}.", lock=f"{place} against everything (ACCESS EXCLUSIVE), a moment")


def policy_change(place: str, name: str, old: Facts, new: Facts) -> Iterator[Step]:
    """Yield what makes a policy another: in place where PostgreSQL can, so that there is no moment without it."""
    lost = any(old.get(key) and not new.get(key) for key in ("using", "with_check"))
    if lost or (old["command"], old["permissive"]) != (new["command"], new["permissive"]):
        yield Step(DROP_POLICY, f"DROP POLICY {quoted(name)} ON {place}", f"The policy {name} is made anew below.")
        yield policy(place, name, new)
        return
    text = f"ALTER POLICY {quoted(name)} ON {place}\n    TO {_roles(new)}{_predicates(new)}"
    yield Step(POLICY, text, f"The policy {name}.", lock=f"{place} against everything (ACCESS EXCLUSIVE), a moment")


def comment(kind: str, name: str, text: str | None) -> Step:
    """Return COMMENT ON."""
    return Step(COMMENT, f"COMMENT ON {kind.upper()} {name} IS {literal(text)}", "")


def silent(facts: Facts) -> dict[str, Any]:
    """Return facts without their comment."""
    return {key: value for key, value in facts.items() if key != "comment"}


def _roles(facts: Facts) -> str:
    return ", ".join("PUBLIC" if role == "public" else quoted(role) for role in facts["roles"])


def _predicates(facts: Facts) -> str:
    text = f"\n    USING ({facts['using']})" if facts.get("using") else ""
    return text + (f"\n    WITH CHECK ({facts['with_check']})" if facts.get("with_check") else "")
