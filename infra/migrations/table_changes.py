"""Draft what makes a schema's tables others: columns, constraints, indexes, policies, triggers, comments. Pure.

Called by `drafting` with the tables of two catalogues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.migrations import ddl
from infra.migrations.ddl import Step, quoted, silent

Facts = Mapping[str, Any]
_POINTS_TO = re.compile(r" REFERENCES (.+?)\(")


def changes(schema: str, old: Facts, new: Facts) -> Iterator[Step]:
    """Yield what makes the tables of one catalogue those of another.

    Args:
        schema: Their schema, as SQL.
        old: The tables that stand.
        new: The tables that should.
    """
    for name in reversed(_in_order(schema, {name: old[name] for name in old if name not in new})):
        review = "All its rows go."
        yield Step(ddl.DROP_TABLE, f"DROP TABLE {schema}.{quoted(name)}", f"{name} is not declared.", review)
    fresh = {name: new[name] for name in new if name not in old}
    made: set[str] = set()
    for name in _in_order(schema, fresh):
        place = f"{schema}.{quoted(name)}"
        made.add(place)
        later = {
            key for key, body in fresh[name]["constraints"].items() if _target(body) in _places(schema, fresh) - made
        }
        yield ddl.table(place, fresh[name], later=later)
        for key in sorted(later):
            yield from ddl.constraint(place, key, fresh[name]["constraints"][key], None)
        bare = {
            **fresh[name],
            **{kind: {} for kind in ("indexes", "policies", "triggers")},
            "constraints": {key: silent(body) for key, body in fresh[name]["constraints"].items()},
            "columns": {key: silent(body) for key, body in fresh[name]["columns"].items()},
            "row_security": False,
            "row_security_forced": False,
            "comment": None,
        }
        yield from _table(place, bare, fresh[name], used=False)
    for name in (name for name in new if name in old):
        yield from _table(f"{schema}.{quoted(name)}", old[name], new[name], used=True)


def _table(place: str, old: Facts, new: Facts, *, used: bool) -> Iterator[Step]:
    """Yield what makes one table another; `used` says whether others may be reading and writing it."""
    lock = f"{place} against everything (ACCESS EXCLUSIVE), a moment"
    yield from _columns(place, old["columns"], new["columns"], lock)
    yield from _constraints(place, old, new)
    own = {name: body for name, body in old["indexes"].items() if name not in old["constraints"]}
    wanted = {name: body for name, body in new["indexes"].items() if name not in new["constraints"]}
    online = used and new["kind"] == "table"
    for name, body in own.items():
        if wanted.get(name, {}).get("definition") != body["definition"]:
            where = (
                f"{quoted(*place.partition('.')[0].split('.'))}.{quoted(name)}" if '"' not in place else quoted(name)
            )
            yield Step(ddl.DROP_INDEX, f"DROP INDEX CONCURRENTLY {where}", f"The index {name} goes.", online=True)
    for name, body in wanted.items():
        if own.get(name, {}).get("definition") != body["definition"]:
            yield from ddl.index_build(place, name, body, used=online)
    for key, words in (("row_security", ("ENABLE", "DISABLE")), ("row_security_forced", ("FORCE", "NO FORCE"))):
        if old[key] != new[key]:
            change = f"{words[0] if new[key] else words[1]} ROW LEVEL SECURITY"
            yield Step(ddl.STORAGE, f"ALTER TABLE {place} {change}", "Who sees which rows.", lock=lock)
    yield from _options(place, old.get("options") or [], new.get("options") or [])
    yield from _policies(place, old["policies"], new["policies"])
    yield from _triggers(place, old["triggers"], new["triggers"], lock)
    yield from _comments(place, old, new)


def _columns(place: str, old: Facts, new: Facts, lock: str) -> Iterator[Step]:
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    renamed = f"If it was renamed to {' or '.join(come)}, write RENAME COLUMN: this" if come else "This"
    for name in gone:
        change = f"ALTER TABLE {place} DROP COLUMN {quoted(name)}"
        review = f"{renamed} loses what it holds; the application must not read it any more."
        yield Step(ddl.DROP_COLUMN, change, f"{name} is not declared.", review, lock)
    for name in come:
        empty = not new[name]["nullable"] and not any(
            new[name].get(key) for key in ("default", "generated", "identity")
        )
        review = "It fails where the table has rows: give a default, or add it empty, fill it, then SET NOT NULL."
        change = f"ALTER TABLE {place} ADD COLUMN {ddl.column(name, new[name])}"
        yield Step(ddl.COLUMN, change, f"The column {name}.", review if empty else "", lock)
    for name in (name for name in new if name in old):
        yield from ddl.column_changes(place, name, old[name], new[name])


def _constraints(place: str, old: Facts, new: Facts) -> Iterator[Step]:
    for name, body in old["constraints"].items():
        wanted = new["constraints"].get(name)
        if wanted is None or _core(wanted) != _core(body):
            phase = ddl.DROP_FOREIGN_KEY if body["kind"] == "foreign key" else ddl.DROP_CONSTRAINT
            change = f"ALTER TABLE {place} DROP CONSTRAINT {quoted(name)}"
            lock = f"{place} against everything (ACCESS EXCLUSIVE), a moment"
            yield Step(phase, change, f"The {body['kind']} {name} {'is changed' if wanted else 'goes'}.", lock=lock)
    for name, body in new["constraints"].items():
        before = old["constraints"].get(name)
        if before is None or _core(before) != _core(body):
            yield from ddl.constraint(place, name, body, new["indexes"].get(name))
        elif body["validated"] and not before["validated"]:
            yield ddl.validation(place, name)


def _core(body: Facts) -> tuple[Any, ...]:
    return (body["kind"], body["definition"].removesuffix(" NOT VALID"))


def _options(place: str, old: list[str], new: list[str]) -> Iterator[Step]:
    lock = f"{place} against other changes of its shape (SHARE UPDATE EXCLUSIVE), a moment"
    kept = {option.partition("=")[0] for option in new}
    gone = [option.partition("=")[0] for option in old if option.partition("=")[0] not in kept]
    come = [option for option in new if option not in old]
    if gone:
        yield Step(ddl.STORAGE, f"ALTER TABLE {place} RESET ({', '.join(gone)})", "How it is stored.", lock=lock)
    if come:
        yield Step(ddl.STORAGE, f"ALTER TABLE {place} SET ({', '.join(come)})", "How it is stored.", lock=lock)


def _policies(place: str, old: Facts, new: Facts) -> Iterator[Step]:
    for name in (name for name in old if name not in new):
        review = "With row-level security on and no policy left, nobody sees a row."
        yield Step(ddl.DROP_POLICY, f"DROP POLICY {quoted(name)} ON {place}", f"The policy {name} goes.", review)
    for name, body in new.items():
        if name not in old:
            yield ddl.policy(place, name, body)
        elif silent(old[name]) != silent(body):
            yield from ddl.policy_change(place, name, old[name], body)


def _triggers(place: str, old: Facts, new: Facts, lock: str) -> Iterator[Step]:
    for name in (name for name in old if name not in new):
        yield Step(ddl.DROP_TRIGGER, f"DROP TRIGGER {quoted(name)} ON {place}", f"The trigger {name} goes.", lock=lock)
    for name, body in new.items():
        if old.get(name, {}).get("definition") != body["definition"]:
            change = body["definition"].replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
            yield Step(ddl.TRIGGER, change, f"The trigger {name}.", lock=lock)
        if old.get(name, {}).get("enabled", "yes") != body["enabled"]:
            verb = {"yes": "ENABLE", "no": "DISABLE", "on replicas": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}
            change = f"ALTER TABLE {place} {verb[body['enabled']]} TRIGGER {quoted(name)}"
            yield Step(ddl.TRIGGER, change, f"When {name} fires.", lock=lock)


def _comments(place: str, old: Facts, new: Facts) -> Iterator[Step]:
    if old.get("comment") != new.get("comment"):
        yield ddl.comment("table", place, new.get("comment"))
    schema = place.partition(".")[0]
    kinds = {"columns": "column", "constraints": "constraint", "indexes": "index"}
    kinds |= {"policies": "policy", "triggers": "trigger"}
    for plural, kind in kinds.items():
        for name, body in new[plural].items():
            # An index that a constraint made has the constraint's name; its comment is its own.
            if old[plural].get(name, {}).get("comment") == body.get("comment"):
                continue
            match kind:
                case "column":
                    yield ddl.comment(kind, f"{place}.{quoted(name)}", body.get("comment"))
                case "index":
                    yield ddl.comment(kind, f"{schema}.{quoted(name)}", body.get("comment"))
                case _:
                    yield ddl.comment(kind, f"{quoted(name)} ON {place}", body.get("comment"))


def _in_order(schema: str, tables: Facts) -> list[str]:
    """Return tables so that each comes after those it points to; a circle is cut where it is met."""
    waiting = list(tables)
    done: list[str] = []
    while waiting:
        missing = {f"{schema}.{quoted(name)}" for name in waiting}
        free = [
            name
            for name in waiting
            if not ({_target(body) for body in tables[name]["constraints"].values()} & missing)
            - {f"{schema}.{quoted(name)}"}
        ]
        taken = free or waiting[:1]
        done += taken
        waiting = [name for name in waiting if name not in taken]
    return done


def _places(schema: str, tables: Facts) -> set[str]:
    return {f"{schema}.{quoted(name)}" for name in tables}


def _target(constraint: Facts) -> str:
    match = _POINTS_TO.search(constraint["definition"])
    return match[1] if match else ""
