"""Decide what must happen to a resource: names, aliases, differences, order. Pure: takes data, returns data.

Called by `registration`. A resource is a dict with the names of the official state, its inputs and outputs as `values`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from embedded.engine.values import mask, transform, unwrap

Resource = dict[str, Any]
# A resource as the program wants it: the fields that it decides, and its `name`, `aliases` (the SDK's own messages) and
# `deleteBeforeReplace`.
Goal = Resource
STACK_TYPE: Final = "pulumi:pulumi:Stack"
STACK_REFERENCE: Final = "pulumi:pulumi:StackReference"
# The code of a dynamic resource: never shown as a difference.
PROVIDER_KEY: Final = "__provider"

# What a goal decides, under the names of the SDK's request, which are the state's too; the state has no empty ones.
DECIDED: Final = (
    *("custom", "type", "inputs", "parent", "protect", "external", "dependencies", "provider"),
    *("propertyDependencies", "additionalSecretOutputs", "retainOnDelete", "deletedWith", "ignoreChanges"),
)
GOAL_KEYS: Final = frozenset({*DECIDED, "urn", "delete", "pendingReplacement"})
# Options that a child has from its parent where it has none of its own.
INHERITED: Final = ("protect", "retainOnDelete", "deletedWith")


class Change(NamedTuple):
    """One property that differs, fit to be shown: secrets are masked.

    Attributes:
        path: Where it is, as `migrations.0001_chats[3]`.
        old: What it was; None where it is new.
        new: What it will be; None where it goes.
    """

    path: str
    old: Any
    new: Any

    @property
    def root(self) -> str:
        """The property that the path begins with."""
        return self.path.split(".")[0].split("[")[0]


Changes = tuple[Change, ...]


def make_urn(*, stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Return the URN of a resource; the parents' types are part of it, but for the stack's."""
    prefix = f"{parent.split('::')[2]}$" if parent and type_of(parent) != STACK_TYPE else ""
    return f"urn:pulumi:{stack}::{project}::{prefix}{type_}::{name}"


def type_of(urn: str) -> str:
    """Return the type of the resource."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """Return the name of the resource."""
    return urn.split("::", 3)[3]


def package_of(type_: str) -> str:
    """Return the package that makes resources of the type; a provider's is the one it provides."""
    parts = type_.split(":")
    return parts[2] if type_.startswith("pulumi:providers:") else parts[0]


def provider_urn(reference: str) -> str:
    """Return the URN in a provider reference, `URN::id`."""
    return reference.rpartition("::")[0]


def former_urns(goal: Goal, *, stack: str, project: str, former: Mapping[str, str]) -> list[str]:
    """Return the URNs that the resource may have had, in the order they are tried.

    Args:
        goal: The resource.
        stack: Name of the stack.
        project: Name of the project.
        former: URN before, by URN now, of the resources that were found by an alias in this run.

    Source: generateAliases in pkg/resource/deploy/step_generator.go of Pulumi.
    """
    parent, own = goal.get("parent", ""), []
    for alias in goal.get("aliases", ()):
        spec = alias.spec
        above = "" if spec.noParent else former.get(spec.parentUrn, spec.parentUrn or parent)
        where = {"stack": spec.stack or stack, "project": spec.project or project, "parent": above}
        named = make_urn(**where, type_=spec.type or goal["type"], name=spec.name or goal["name"])
        own.append(alias.urn or named)
    inherited = []
    if parent in former:
        for type_, name in [(goal["type"], goal["name"]), *((type_of(urn), name_of(urn)) for urn in own)]:
            # By convention a child's name begins with its parent's: then it was renamed with it.
            if name.startswith(name_of(parent)):
                name = name_of(former[parent]) + name.removeprefix(name_of(parent))
            inherited.append(make_urn(stack=stack, project=project, parent=former[parent], type_=type_, name=name))
    return own + inherited


def wanted(goal: Goal, urn: str) -> Resource:
    """Return the resource as the state holds it, without id, outputs and times."""
    return without_blanks({"urn": urn, **{key: goal[key] for key in DECIDED if key in goal}})


def references(resource: Resource) -> set[str]:
    """Return the URNs that must stand before the resource does."""
    named = (resource.get("parent", ""), resource.get("deletedWith", ""), provider_urn(resource.get("provider", "")))
    return {*named, *resource.get("dependencies", ())}.union(*resource.get("propertyDependencies", {}).values()) - {""}


def is_provider(resource: Resource) -> bool:
    """Tell whether the resource is a provider."""
    return str(resource["type"]).startswith("pulumi:providers:")


def plain(resource: Resource) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a resource's inputs and outputs as its provider takes them, secrets unwrapped."""
    return unwrap(resource.get("inputs", {})), unwrap(resource.get("outputs", {}))


def without_blanks(resource: Resource) -> Resource:
    """Return the resource without empty fields: the official state leaves them out."""
    return {key: value for key, value in resource.items() if value or key == "custom"}


def rename(resource: Resource, old: str, new: str) -> Resource:
    """Return the resource with every mention of one URN replaced by another, or by nothing."""

    def renamed(part: Any, _place: str) -> Any:
        if isinstance(part, list):
            return [item for item in part if item]
        return new if part == old else part

    changed = transform({key: value for key, value in resource.items() if key not in ("inputs", "outputs")}, renamed)
    if provider_urn(resource.get("provider", "")) == old:
        changed["provider"] = new + resource["provider"].removeprefix(old)
    return {**resource, **changed}


def keep_ignored(inputs: Mapping[str, Any], olds: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the inputs with the old value of each property in `ignoreChanges`, or without it where it had none."""
    kept = {name: olds[name] for name in names if name in olds}
    return {name: value for name, value in inputs.items() if name not in names} | kept


def _parts(old: Any, new: Any) -> tuple[dict[Any, Any], dict[Any, Any]] | None:
    """Return the parts of two maps, or of two lists by their places; None where they are not of one kind."""
    if isinstance(old, list) and isinstance(new, list):
        return dict(enumerate(old)), dict(enumerate(new))
    return (dict(old), dict(new)) if isinstance(old, Mapping) and isinstance(new, Mapping) else None


def without_notes(resource: Resource) -> Resource:
    """Return a resource without the inputs that the official provider filled in unasked, and without its notes of them.

    Source: pulumi-terraform-bridge: `__defaults` names the inputs it set itself; `__internal` is its own.
    """

    def asked(part: Any, _place: str) -> Any:
        own = {"__internal", "__defaults", *part.get("__defaults", ())} if isinstance(part, dict) else ()
        return {key: value for key, value in part.items() if key not in own} if own else part

    return dict(transform(resource, asked))


def differences(old: Any, new: Any, path: str = "") -> list[Change]:
    """Return each property that differs, masked; maps and lists are looked into, what is added or gone stays whole."""
    if unwrap(old) == unwrap(new):
        return []
    if (parts := _parts(old, new)) is None:
        return [Change(path, mask(old), mask(new))]
    olds, news = parts
    found = []
    for key in {**news, **olds}:
        if key != PROVIDER_KEY:
            place = f"{path}[{key}]" if isinstance(new, list) else f"{path}.{key}".removeprefix(".")
            found += differences(olds.get(key), news.get(key), place)
    return found
