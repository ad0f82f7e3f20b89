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

from infra.migrations import ddl, table_changes
from infra.migrations.ddl import Step, quoted, silent
from infra.migrations.draft_mark import MARK

Catalogue = Mapping[str, Any]
_BUILD = re.compile(r"^(CREATE (?:UNIQUE )?INDEX) (?!CONCURRENTLY)(?!.* ON ONLY )")


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
        *table_changes.changes(schema, old.catalogue["tables"], new.catalogue["tables"]),
        *_views(schema, old.catalogue["views"], new.catalogue["views"]),
    ]
    if old.catalogue["schema"].get("comment") != new.catalogue["schema"].get("comment"):
        found.append(ddl.comment("schema", schema, new.catalogue["schema"].get("comment")))
    if any(step.online for step in found):
        # The file runs outside a transaction then, and so a new table is a table like any other.
        found = [step._replace(text=_BUILD.sub(r"\1 CONCURRENTLY ", step.text)) for step in found]
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


def _marker(section: str, steps_of_it: list[Step]) -> str:
    return f"-- migrate:{section}{' transaction:false' if any(step.online for step in steps_of_it) else ''}"


def _statement(step: Step) -> str:
    lines = [f"-- {step.note}"] if step.note else []
    lines += [f"-- REVIEW: {step.review}"] if step.review else []
    return "\n".join([*lines, f"{step.text};"])


def _functions(old: Side, new: Side) -> Iterator[Step]:
    before, after = old.catalogue["functions"], new.catalogue["functions"]
    for name, body in before.items():
        if name not in after:
            yield Step(ddl.DROP_FUNCTION, f"DROP {body['kind'].upper()} {name}", f"{name} is not declared.")
    for name, body in after.items():
        if silent(before.get(name, {})) != silent(body) and name in new.functions:
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
        if name not in new or (body["kind"] != "view" and silent(body) != silent(new[name])):
            change = f"DROP {body['kind'].upper()} {schema}.{quoted(name)}"
            yield Step(ddl.DROP_VIEW, change, f"{name} is {'made anew' if name in new else 'not declared'}.")
    for name, body in new.items():
        if silent(old.get(name, {})) != silent(body):
            create = "CREATE OR REPLACE VIEW" if body["kind"] == "view" else "CREATE MATERIALIZED VIEW"
            options = f" WITH ({', '.join(body['options'])})" if body.get("options") else ""
            definition = body["definition"].strip().removesuffix(";")
            change = f"{create} {schema}.{quoted(name)}{options} AS\n{definition}"
            yield Step(ddl.VIEW, change, f"The view {name}.")
        if old.get(name, {}).get("comment") != body.get("comment"):
            yield ddl.comment(body["kind"], f"{schema}.{quoted(name)}", body.get("comment"))
