"""Draft a migration from two catalogues: what the migrations make, and what schema.sql declares. Pure.

Called by `chatdb new --from-schema`, which tries the draft in a scratch database and has what it left undone named.

Why not Alembic's autogenerate: it compares SQLAlchemy's models, not catalogues, and knows tables, columns, plain
indexes and foreign keys. Checks it compares by name and only when asked, and it has no word for policies, row-level
security, triggers, functions, storage options and comments on anything but tables and columns: most of what
these products' schemas are made of. The catalogue here holds every definition in PostgreSQL's own words
(pg_get_constraintdef and its like) and is compared fact by fact already, so a statement for each is short, and trying
the draft proves it. It also writes what Alembic does not: CONCURRENTLY, NOT VALID and VALIDATE.

Source: https://alembic.sqlalchemy.org/en/latest/autogenerate.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.migrations import ddl
from infra.migrations.ddl import Step, quoted

Catalogue = Mapping[str, Any]
MARK = "-- DRAFT"
_POINTS_TO = re.compile(r" REFERENCES (.+?)\(")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two databases.

    Attributes:
        catalogue: What `catalogue.read` gave for the whole schema.
        functions: The definition of each function, by the name the catalogue has it under.
    """

    catalogue: Catalogue
    functions: Mapping[str, str]


def steps(old: Side, new: Side) -> list[Step]:
    """Return the statements that lead from one to the other, in an order that runs."""
    schema = quoted(new.catalogue["schema"]["name"])
    found = [
        *_types(schema, old.catalogue["types"], new.catalogue["types"]),
        *_functions(old, new),
        *_tables(schema, old.catalogue["tables"], new.catalogue["tables"]),
        *_views(schema, old.catalogue["views"], new.catalogue["views"]),
    ]
    if old.catalogue["schema"].get("comment") != new.catalogue["schema"].get("comment"):
        found.append(ddl.comment("schema", schema, new.catalogue["schema"].get("comment")))
    return sorted(found, key=lambda step: step.phase)


def text(up: list[Step], down: list[Step], *, left: list[str]) -> str:
    """Return the file.

    Args:
        up: What leads forward.
        down: What leads back.
        left: A sentence for each difference that the draft does not make.
    """
    locks = list(dict.fromkeys(step.lock for step in up if step.lock)) or ["nothing that is in use"]
    lines = [
        f"{MARK} of what schema.sql declares and the migrations do not make. Review each statement, write the reason",
        "-- in place of this text, and remove it: while it stands here, nothing applies this file.",
        "--",
        *(f"-- Locks: {locks[0]}" if number == 0 else f"--   {lock}" for number, lock in enumerate(locks)),
    ]
    parts = ["\n".join(lines), _marker("up", up), *(_statement(step) for step in up)]
    if left:
        todo = [
            "-- TODO: what is drafted above does not make these; write the statements, or take it back in schema.sql.",
            *(f"--   {sentence}" for sentence in left),
        ]
        parts.append("\n".join(todo))
    return "\n\n".join([*parts, _marker("down", down), *(_statement(step) for step in down)]) + "\n"


def is_draft(migration_text: str) -> bool:
    """Return whether a file is a draft that nobody has reviewed yet."""
    return migration_text.startswith(MARK)


def _marker(section: str, steps_of_it: list[Step]) -> str:
    return f"-- migrate:{section}{' transaction:false' if any(step.online for step in steps_of_it) else ''}"


def _statement(step: Step) -> str:
    lines = [f"-- {step.note}"] if step.note else []
    lines += [f"-- REVIEW: {step.review}"] if step.review else []
    return "\n".join([*lines, f"{step.text};"])


def _tables(schema: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
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
            "constraints": {key: _silent(body) for key, body in fresh[name]["constraints"].items()},
            "columns": {key: _silent(body) for key, body in fresh[name]["columns"].items()},
            "row_security": False,
            "row_security_forced": False,
            "comment": None,
        }
        yield from _table(place, bare, fresh[name], used=False)
    for name in (name for name in new if name in old):
        yield from _table(f"{schema}.{quoted(name)}", old[name], new[name], used=True)


def _table(place: str, old: Catalogue, new: Catalogue, *, used: bool) -> Iterator[Step]:
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


def _columns(place: str, old: Catalogue, new: Catalogue, lock: str) -> Iterator[Step]:
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


def _constraints(place: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
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


def _core(body: Catalogue) -> tuple[Any, ...]:
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


def _policies(place: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
    for name in (name for name in old if name not in new):
        review = "With row-level security on and no policy left, nobody sees a row."
        yield Step(ddl.DROP_POLICY, f"DROP POLICY {quoted(name)} ON {place}", f"The policy {name} goes.", review)
    for name, body in new.items():
        if name not in old:
            yield ddl.policy(place, name, body)
        elif _silent(old[name]) != _silent(body):
            yield from ddl.policy_change(place, name, old[name], body)


def _triggers(place: str, old: Catalogue, new: Catalogue, lock: str) -> Iterator[Step]:
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


def _comments(place: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
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


def _functions(old: Side, new: Side) -> Iterator[Step]:
    before, after = old.catalogue["functions"], new.catalogue["functions"]
    for name, body in before.items():
        if name not in after:
            yield Step(ddl.DROP_FUNCTION, f"DROP {body['kind'].upper()} {name}", f"{name} is not declared.")
    for name, body in after.items():
        if _silent(before.get(name, {})) != _silent(body) and name in new.functions:
            # A body in plain SQL is looked through when it is made: what it names must stand.
            phase = ddl.STORAGE if body["language"] == "sql" else ddl.FUNCTION
            yield Step(phase, new.functions[name].strip(), f"The {body['kind']} {name}.")
        if before.get(name, {}).get("comment") != body.get("comment"):
            yield ddl.comment(body["kind"], name, body.get("comment"))


def _types(schema: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
    for name, body in old.items():
        if name not in new:
            kind = "DOMAIN" if body["kind"] == "domain" else "TYPE"
            yield Step(ddl.DROP_TYPE, f"DROP {kind} {schema}.{quoted(name)}", f"{name} is not declared.")
    for name, body in new.items():
        place = f"{schema}.{quoted(name)}"
        labels, before = body.get("labels") or [], old.get(name, {}).get("labels") or []
        if body["kind"] != "enum":
            continue
        if name not in old:
            made = ", ".join(ddl.literal(label) for label in labels)
            yield Step(ddl.TYPE, f"CREATE TYPE {place} AS ENUM ({made})", f"The type {name}.")
        for number, label in enumerate(labels):
            if name in old and label not in before:
                where = f" AFTER {ddl.literal(labels[number - 1])}" if number else f" BEFORE {ddl.literal(before[0])}"
                change = f"ALTER TYPE {place} ADD VALUE {ddl.literal(label)}{where}"
                yield Step(ddl.TYPE, change, f"A label of {name}.", "A label is never taken back.", online=True)
        if old.get(name, {}).get("comment") != body.get("comment"):
            yield ddl.comment("type", place, body.get("comment"))


def _views(schema: str, old: Catalogue, new: Catalogue) -> Iterator[Step]:
    for name, body in old.items():
        if name not in new or (body["kind"] != "view" and _silent(body) != _silent(new[name])):
            change = f"DROP {body['kind'].upper()} {schema}.{quoted(name)}"
            yield Step(ddl.DROP_VIEW, change, f"{name} is {'made anew' if name in new else 'not declared'}.")
    for name, body in new.items():
        if _silent(old.get(name, {})) != _silent(body):
            create = "CREATE OR REPLACE VIEW" if body["kind"] == "view" else "CREATE MATERIALIZED VIEW"
            options = f" WITH ({', '.join(body['options'])})" if body.get("options") else ""
            definition = body["definition"].strip().removesuffix(";")
            change = f"{create} {schema}.{quoted(name)}{options} AS\n{definition}"
            yield Step(ddl.VIEW, change, f"The view {name}.")
        if old.get(name, {}).get("comment") != body.get("comment"):
            yield ddl.comment(body["kind"], f"{schema}.{quoted(name)}", body.get("comment"))


def _in_order(schema: str, tables: Catalogue) -> list[str]:
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


def _places(schema: str, tables: Catalogue) -> set[str]:
    return {f"{schema}.{quoted(name)}" for name in tables}


def _target(constraint: Catalogue) -> str:
    match = _POINTS_TO.search(constraint["definition"])
    return match[1] if match else ""


def _silent(body: Catalogue) -> dict[str, Any]:
    """Return facts without their comment."""
    return {key: value for key, value in body.items() if key != "comment"}
