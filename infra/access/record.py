"""Write declared rights as plain data that stands in a state and reads well in a preview, and read them back. Pure.

Called by `access_resource`: what the last update declared is all that a preview knows where no server answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.access.declared import Rights
from infra.access.matrix import Thing, every_privilege, ordered

# Role → object → its rights.
Record = Mapping[str, Mapping[str, Sequence[str]]]
ALL = "all"
_IN_SCHEMAS = ("table", "default")


def record(rights: Rights, major: int) -> dict[str, dict[str, list[str]]]:
    """Return rights as `{"lyra_app": {"table public.chat_messages": ["SELECT", "INSERT"]}}`.

    Args:
        rights: Who may do what on what.
        major: Major version of the server, which decides what "all" is.
    """
    written: dict[str, dict[str, list[str]]] = {}
    for (role, thing), privileges in sorted(rights.items()):
        everything = len(privileges) > 1 and privileges == every_privilege(thing.kind, major)
        written.setdefault(role, {})[_key(thing)] = [ALL] if everything else ordered(privileges)
    return written


def rights(written: Record, major: int) -> Rights:
    """Return what `record` wrote."""
    found: Rights = {}
    for role, objects in written.items():
        for key, privileges in objects.items():
            thing = _thing(key)
            found[role, thing] = every_privilege(thing.kind, major) if ALL in privileges else frozenset(privileges)
    return found


def _key(thing: Thing) -> str:
    return f"{thing.kind} {thing.schema}.{thing.name}" if thing.schema else f"{thing.kind} {thing.name}"


def _thing(key: str) -> Thing:
    kind, _, name = key.partition(" ")
    schema, dot, rest = name.partition(".")
    return Thing(kind=kind, schema=schema, name=rest) if dot and kind in _IN_SCHEMAS else Thing(kind=kind, name=name)
