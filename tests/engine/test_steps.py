"""Planning of steps: pure, so tables of cases."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.proto.alias_pb2 import Alias

from embedded.engine import steps
from embedded.engine.steps import Change, Goal
from embedded.engine.values import UNKNOWN, Secret, mark_secrets, mask

NAMES = {
    "in the stack": ("urn:pulumi:s::p::pulumi:pulumi:Stack::p-s", "urn:pulumi:s::p::a:b:C::n"),
    "in a component": ("urn:pulumi:s::p::x:y:Z::z", "urn:pulumi:s::p::x:y:Z$a:b:C::n"),
    "deeper": ("urn:pulumi:s::p::x:y:Z$u:v:W::w", "urn:pulumi:s::p::x:y:Z$u:v:W$a:b:C::n"),
    "without parent": ("", "urn:pulumi:s::p::a:b:C::n"),
}


@pytest.mark.parametrize(("parent", "urn"), NAMES.values(), ids=NAMES)
def test_urn_carries_the_types_of_the_parents(parent: str, urn: str) -> None:
    """The stack's own type is left out."""
    assert steps.make_urn(stack="s", project="p", parent=parent, type_="a:b:C", name="n") == urn


def test_a_name_may_hold_the_separator() -> None:
    """Only the first three separators part a URN."""
    urn = steps.make_urn(stack="s", project="p", parent="", type_="a:b:C", name="x::y")
    assert (steps.name_of(urn), steps.type_of(urn)) == ("x::y", "a:b:C")


OLD = "urn:pulumi:s::p::x:y:Z::old"
FORMER = {
    "name": (Alias(spec=Alias.Spec(name="before")), {}, ["urn:pulumi:s::p::x:y:Z$a:b:C::before"]),
    "type": (Alias(spec=Alias.Spec(type="a:b:Old")), {}, ["urn:pulumi:s::p::x:y:Z$a:b:Old::new-n"]),
    "no parent": (Alias(spec=Alias.Spec(noParent=True)), {}, ["urn:pulumi:s::p::a:b:C::new-n"]),
    "stack and project": (Alias(spec=Alias.Spec(stack="t", project="q")), {}, ["urn:pulumi:t::q::x:y:Z$a:b:C::new-n"]),
    "parent's": (None, {"urn:pulumi:s::p::x:y:Z::new": OLD}, ["urn:pulumi:s::p::x:y:Z$a:b:C::old-n"]),
}


@pytest.mark.parametrize(("alias", "renamed", "expected"), FORMER.values(), ids=FORMER)
def test_former_urns(alias: Alias | None, renamed: dict[str, str], expected: list[str]) -> None:
    """Each part of an alias stands in for the present one; a renamed parent's name is carried into its children's."""
    goal = Goal(
        type="a:b:C",
        name="new-n",
        custom=True,
        inputs={},
        parent="urn:pulumi:s::p::x:y:Z::new",
        aliases=(alias,) if alias else (),
    )
    assert steps.former_urns(goal, stack="s", project="p", former=renamed) == expected


IGNORED: dict[str, tuple[Any, Any, list[str], Any]] = {
    "key": ({"a": 1, "b": 1}, {"a": 2, "b": 2}, ["a"], {"a": 1, "b": 2}),
    "added": ({}, {"a": 2}, ["a"], {}),
    "removed": ({"a": 1}, {}, ["a"], {"a": 1}),
}


@pytest.mark.parametrize(("old", "new", "names", "expected"), IGNORED.values(), ids=IGNORED)
def test_ignored_properties_keep_the_old_value(old: Any, new: Any, names: list[str], expected: Any) -> None:
    """The old value of each stands; the rest is the program's."""
    assert steps.keep_ignored(new, old, names) == expected


DIFFERENT: dict[str, tuple[Any, Any, list[Change]]] = {
    "equal": ({"a": 1}, {"a": 1}, []),
    "value": ({"a": 1}, {"a": 2}, [Change("a", 1, 2)]),
    "added whole": ({}, {"a": {"b": [1]}}, [Change("a", None, {"b": [1]})]),
    "line": ({"m": {"0001": ["x", "y"]}}, {"m": {"0001": ["x", "z"]}}, [Change("m.0001[1]", "y", "z")]),
    "line added": ({"m": ["x"]}, {"m": ["x", "y"]}, [Change("m[1]", None, "y")]),
    "secret": ({"a": Secret("x")}, {"a": Secret("y")}, [Change("a", "[secret]", "[secret]")]),
    "same secret": ({"a": Secret("x")}, {"a": Secret("x")}, []),
    "unknown": ({"a": 1}, {"a": UNKNOWN}, [Change("a", 1, "[unknown]")]),
    "internal": ({"__provider": "x"}, {"__provider": "y"}, []),
}


@pytest.mark.parametrize(("old", "new", "expected"), DIFFERENT.values(), ids=DIFFERENT)
def test_differences_are_named_property_by_property(old: Any, new: Any, expected: list[Change]) -> None:
    """Maps and lists are looked into; secrets are masked."""
    assert steps.differences(old, new) == expected


NOTED: dict[str, tuple[Any, Any]] = {
    "filled in": ({"__defaults": ["p"], "p": 5, "n": "x"}, {"n": "x"}),
    "nested": ({"a": [{"__defaults": ["c"], "b": 1, "c": 2}]}, {"a": [{"b": 1}]}),
    "asked for": ({"__defaults": [], "p": 5}, {"p": 5}),
    "a provider's": ({"__internal": {}, "host": "h"}, {"host": "h"}),
    "a dynamic resource's code": ({"__provider": "x"}, {"__provider": "x"}),
}


@pytest.mark.parametrize(("inputs", "expected"), NOTED.values(), ids=NOTED)
def test_notes_of_the_official_provider_are_left_out(inputs: Any, expected: Any) -> None:
    """What the bridge set itself does not count; what the program asked for does."""
    assert steps.without_notes({"urn": "u", "inputs": inputs}) == {"urn": "u", "inputs": expected}


MARKED: dict[str, tuple[Any, Any, Any]] = {
    "same key": ({"a": 1, "b": 2}, {"a": Secret(0)}, {"a": Secret(1), "b": 2}),
    "nested map": ({"a": {"b": 1, "c": 2}}, {"a": {"b": Secret(0)}}, {"a": {"b": Secret(1), "c": 2}}),
    "in a list": ({"a": [1]}, {"a": [Secret(0)]}, {"a": Secret([1])}),
    "gone": ({}, {"a": Secret(0)}, {}),
}


@pytest.mark.parametrize(("outputs", "inputs", "expected"), MARKED.values(), ids=MARKED)
def test_outputs_are_secret_where_the_inputs_are(outputs: Any, inputs: Any, expected: Any) -> None:
    """As the official engine marks what a provider gives back."""
    assert mark_secrets(outputs, inputs) == expected


def test_a_masked_value_holds_no_secret() -> None:
    """Secrets and unknowns are words; a secret's repr does not show it."""
    assert mask({"a": [Secret("x"), UNKNOWN]}) == {"a": ["[secret]", "[unknown]"]}
    assert "x" not in repr(Secret("x"))
