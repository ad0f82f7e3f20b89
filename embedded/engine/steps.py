"""Decide what must happen to a resource: names, aliases, differences, order. Pure: takes data, returns data.

Called by `registration`. A resource is a dict with the names of the official state, its inputs and outputs as `values`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from embedded.engine.values import Secret, mask, unwrap

if TYPE_CHECKING:
    from pulumi.runtime.proto.alias_pb2 import Alias

Resource = dict[str, Any]
STACK_TYPE: Final = "pulumi:pulumi:Stack"
STACK_REFERENCE: Final = "pulumi:pulumi:StackReference"
# What the engine keeps for itself: never shown as a difference.
INTERNAL: Final = ("__provider", "__defaults")
_PATH = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\[?(\*)\]?|([^.\[\]"*]+)')


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A resource as the program wants it; the fields are those of the SDK's request, the aliases its own messages."""

    type: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    parent: str = ""
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    protect: bool | None = None
    retain_on_delete: bool | None = None
    deleted_with: str = ""
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    secret_outputs: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    external: bool = False

    def fields(self, urn: str) -> Resource:
        """Return the resource as the state holds it, without id, outputs and times; empty fields are left out."""
        return without_blanks(
            {"urn": urn, "custom": self.custom, "type": self.type, "inputs": dict(self.inputs)}
            | {key: _plain(getattr(self, name)) for key, name in _FIELDS.items()}
        )


# Name in the state of each field of a goal.
_FIELDS: Final = {
    "parent": "parent",
    "protect": "protect",
    "external": "external",
    "dependencies": "dependencies",
    "provider": "provider",
    "propertyDependencies": "property_dependencies",
    "additionalSecretOutputs": "secret_outputs",
    "retainOnDelete": "retain_on_delete",
    "deletedWith": "deleted_with",
    "ignoreChanges": "ignore_changes",
}
# What a goal decides; everything else in a resource of the state is carried over.
GOAL_KEYS: Final = frozenset({*_FIELDS, "urn", "custom", "type", "inputs", "delete", "pendingReplacement"})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Change:
    """One property that differs, fit to be shown: secrets are masked.

    Attributes:
        path: Where it is, as `migrations.0001_chats[3]`.
        old: What it was; None where it is new.
        new: What it will be; None where it goes.
        replaces: Whether this one makes a replacement necessary.
    """

    path: str
    old: Any
    new: Any
    replaces: bool = False

    @property
    def root(self) -> str:
        """The property that the path begins with."""
        return self.path.split(".")[0].split("[")[0]


def make_urn(*, stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Return the URN of a resource; the parent's type is part of it unless it is the stack."""
    prefix = f"{qualified_type(parent)}$" if parent and type_of(parent) != STACK_TYPE else ""
    return f"urn:pulumi:{stack}::{project}::{prefix}{type_}::{name}"


def qualified_type(urn: str) -> str:
    """Return the types of the resource and its parents, joined by `$`."""
    return urn.split("::", 3)[2]


def type_of(urn: str) -> str:
    """Return the type of the resource."""
    return qualified_type(urn).rsplit("$", 1)[-1]


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
    own = [_alias_urn(alias, goal, stack=stack, project=project, former=former) for alias in goal.aliases]
    parent = former.get(goal.parent)
    if parent is None:
        return own
    shapes = [(goal.type, goal.name), *((type_of(urn), name_of(urn)) for urn in own)]
    inherited = []
    for type_, name in shapes:
        # By convention a child's name begins with its parent's: then it was renamed with it.
        if name.startswith(name_of(goal.parent)):
            name = name_of(parent) + name.removeprefix(name_of(goal.parent))
        inherited.append(make_urn(stack=stack, project=project, parent=parent, type_=type_, name=name))
    return own + inherited


def _alias_urn(alias: Alias, goal: Goal, *, stack: str, project: str, former: Mapping[str, str]) -> str:
    if alias.urn:
        return alias.urn
    spec = alias.spec
    return make_urn(
        stack=spec.stack or stack,
        project=spec.project or project,
        parent="" if spec.noParent else former.get(spec.parentUrn, spec.parentUrn or goal.parent),
        type_=spec.type or goal.type,
        name=spec.name or goal.name,
    )


def references(resource: Resource) -> set[str]:
    """Return the URNs that must stand before the resource does."""
    found = {resource.get("parent", ""), resource.get("deletedWith", ""), provider_urn(resource.get("provider", ""))}
    found.update(resource.get("dependencies", ()))
    for urns in resource.get("propertyDependencies", {}).values():
        found.update(urns)
    return found - {""}


def is_provider(resource: Resource) -> bool:
    """Tell whether the resource is a provider."""
    return str(resource["type"]).startswith("pulumi:providers:")


def without_blanks(resource: Resource) -> Resource:
    """Return the resource without empty fields: the official state leaves them out."""
    return {key: value for key, value in resource.items() if value or key == "custom"}


def rename(resource: Resource, old: str, new: str) -> Resource:
    """Return the resource with every mention of one URN replaced by another, or by nothing."""
    provider = resource.get("provider", "")
    changed = {
        **resource,
        "urn": new if resource["urn"] == old else resource["urn"],
        "parent": new if resource.get("parent") == old else resource.get("parent"),
        "deletedWith": new if resource.get("deletedWith") == old else resource.get("deletedWith"),
        "provider": f"{new}::{provider.rpartition('::')[2]}" if provider_urn(provider) == old else provider,
        "dependencies": [new if urn == old else urn for urn in resource.get("dependencies", ()) if new or urn != old],
        "propertyDependencies": {
            key: [new if urn == old else urn for urn in urns if new or urn != old]
            for key, urns in resource.get("propertyDependencies", {}).items()
        },
    }
    return {key: value for key, value in changed.items() if value or key in resource}


def keep_ignored(inputs: Mapping[str, Any], olds: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Return the inputs with the old value at each path of `ignoreChanges`."""
    kept: Any = dict(inputs)
    for path in paths:
        kept = _reset(olds, kept, [next(part for part in parts if part) for parts in _PATH.findall(path)])
    return dict(kept)


def _reset(old: Any, new: Any, path: Sequence[str]) -> Any:
    """Return `new` with what `old` has at the path; where either lacks the way there, `new` as it is."""
    if not path:
        return old
    if isinstance(new, Secret) or isinstance(old, Secret):
        inner = _reset(unwrap(old), unwrap(new), path)
        return Secret(inner) if isinstance(new, Secret) else inner
    key, rest = path[0], path[1:]
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        result = dict(new)
        for name in {**old, **new} if key == "*" else (key,):
            if name in old and (name in new or not rest):
                result[name] = _reset(old[name], new.get(name), rest)
            elif not rest:
                result.pop(name, None)
        return result
    if isinstance(new, list) and isinstance(old, list) and (key == "*" or key.isdigit()):
        places = range(len(new)) if key == "*" else (int(key),)
        return [_reset(old[i], item, rest) if i in places and i < len(old) else item for i, item in enumerate(new)]
    return new


def without_defaults(old: Any, new: Any) -> Any:
    """Return old inputs without what the official provider filled in and the program did not ask for.

    Source: pulumi-terraform-bridge: `__defaults` names the inputs it set itself; `__internal` and more are its own.
    """
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [without_defaults(*pair) for pair in zip(old, new, strict=True)]
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return old
    defaults = old.get("__defaults", ())
    return {
        key: without_defaults(value, new.get(key))
        for key, value in old.items()
        if key in new or not (key in defaults or key.startswith("__"))
    }


def differences(old: Any, new: Any, path: str = "") -> list[Change]:
    """Return each property that differs, masked; maps and lists are looked into, what is added or gone stays whole."""
    if unwrap(old) == unwrap(new):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in [*new, *(key for key in old if key not in new)]:
            if key not in INTERNAL:
                found += differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    if isinstance(old, list) and isinstance(new, list):
        return [
            change
            for i in range(max(len(old), len(new)))
            for change in differences(
                old[i] if i < len(old) else None, new[i] if i < len(new) else None, f"{path}[{i}]"
            )
        ]
    return [Change(path, mask(old), mask(new))]


def dependents(root: str, resources: Sequence[Resource]) -> list[Resource]:
    """Return what depends on a resource, directly or not, in the order of the state."""
    reached = {root}
    found = []
    for resource in resources:
        if resource["urn"] not in reached and references(resource) & reached:
            reached.add(resource["urn"])
            found.append(resource)
    return found
