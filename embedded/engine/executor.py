"""Carry out one run: each resource the program registers, then the deletes. Called by `monitor` and `deployment`.

One resource at a time, in the order they arrive: providers need no locks of their own, and a run is repeatable. The
state is saved before and after each operation; a preview goes the same way without operations and without saves.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from embedded.engine import state, steps
from embedded.engine.errors import ResourceError, in_words
from embedded.engine.events import Operation, Report, StepEvent
from embedded.engine.provider import Diff, Provider
from embedded.engine.state import Snapshot
from embedded.engine.steps import Change, Goal, Resource
from embedded.engine.values import Secret, Unknown, contains, mark_secrets, unwrap
from infra.errors import ChatdbError

STACK_REFERENCE = "pulumi:pulumi:StackReference"
# A new provider has no id before the update, and what it makes names it by this.
UNKNOWN_ID = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Executor:
    """One run over one stack.

    Args:
        snapshot: The stack as it was.
        stack: Its name.
        project: The project's name.
        providers: Makes the provider of a package from its inputs.
        read_stack: Returns the outputs of the stack a StackReference names.
        save: Puts a snapshot on the disk; None for a preview.
        report: Told each step.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        stack: str,
        project: str,
        providers: Callable[[str, dict[str, Any]], Provider],
        read_stack: Callable[[str], dict[str, Any]],
        save: Callable[[Snapshot], None] | None,
        report: Report,
    ) -> None:
        self._before = snapshot.resources
        self._left = {id(resource): resource for resource in snapshot.resources}
        self._olds = state.order(snapshot.resources)
        self._interrupted = {resource["urn"] for resource, kind in snapshot.pending if kind == "updating"}
        self._pending: list[tuple[Resource, str]] = []
        self.news: dict[str, Resource] = {}
        self.goals: dict[str, Goal] = {}
        self._renamed: dict[str, str] = {}
        self._replaced: set[str] = set()
        self._going: list[tuple[Resource, Resource | None]] = []
        self._skipped: set[str] = set()
        self.errors: list[ChatdbError] = []
        self.counts: dict[str, int] = {}
        self._stack, self._project = stack, project
        self._make_provider, self._providers = providers, dict[str, Provider | None]()
        self._read_stack, self._save, self._report = read_stack, save, report

    @property
    def dry(self) -> bool:
        """Whether this is a preview."""
        return self._save is None

    def snapshot(self) -> Snapshot:
        """Return the stack as it is now: what was registered, then what of the old is still there."""
        return Snapshot([*self.news.values(), *self._left.values()], list(self._pending))

    def urn_of(self, goal: Goal) -> str:
        """Return the URN of a resource in this stack."""
        return steps.make_urn(
            stack=self._stack, project=self._project, parent=goal.parent, type_=goal.type, name=goal.name
        )

    # Registration ------------------------------------------------------------------------------------------------

    def register(self, goal: Goal) -> Resource | None:
        """Bring one resource to what the program wants.

        Returns:
            The resource as it is now (in a preview: as far as it is known), or None where it failed or had to be left
            out because something it needs failed.

        Raises:
            ChatdbError: The program is wrong: a name declared twice, a parent that does not exist.
        """
        parent = self.goals.get(goal.parent)
        urn = self.urn_of(goal)
        if urn in self.goals:
            raise ChatdbError(
                f"{goal.type} {goal.name} is declared twice",
                detail=f"both have the URN {urn}",
                hint="Give one of them another name.",
            )
        goal = _inherited(goal, parent)
        self.goals[urn] = goal
        old = self._find_old(urn, goal)
        new = goal.fields(urn)
        if steps.references(new) & self._skipped:
            self._skipped.add(urn)
            return None
        try:
            return self._advance(goal, old, new)
        except Exception as error:
            self._failed(new, error)
            return None

    def _find_old(self, urn: str, goal: Goal) -> Resource | None:
        if urn in self._olds:
            return self._olds[urn]
        for former in steps.former_urns(goal, stack=self._stack, project=self._project, renamed=self._renamed):
            old = self._olds.get(former)
            if old is not None and former not in self.goals:
                self._renamed[urn] = former
                self._olds[urn] = self._olds.pop(former)
                self._left = {key: steps.rename(item, former, urn) for key, item in self._left.items()}
                self._olds = {key: self._left.get(id(item), item) for key, item in self._olds.items()}
                self._left = {id(item): item for item in self._left.values()}
                return self._olds[urn]
        return None

    def _advance(self, goal: Goal, old: Resource | None, new: Resource) -> Resource:
        """Decide between same, update, replace and create, and do it."""
        if old is not None:
            # What the goal does not decide (id, times, where it was declared) stays.
            new = {**{key: value for key, value in old.items() if key not in steps.GOAL_KEYS}, **new}
            if "inputs" in old:
                new["inputs"] = steps.keep_ignored(new.get("inputs", {}), old["inputs"], goal.ignore_changes)
        gone = old is not None and bool(old.get("pendingReplacement") or old.get("external") != new.get("external"))
        provider = self._provider_of(new)
        olds = None if gone or old is None else old
        self._check(provider, olds, new)
        if olds is None:
            return self._create(provider, new, replaces=old)
        diff = self._diff(provider, olds, new)
        if diff.replaces:
            if goal.delete_before_replace is not None:
                diff = Diff(diff.changed, diff.replaces, goal.delete_before_replace)
            return self._replace(provider, goal, olds, new, diff)
        if diff.changed or new["urn"] in self._interrupted:
            return self._update(provider, olds, new, diff)
        return self._same(olds, new)

    def _check(self, provider: Provider | None, old: Resource | None, new: Resource) -> None:
        if provider is None:
            return
        news = new.get("inputs", {})
        inputs, failures = provider.check(new["type"], unwrap(old.get("inputs", {})) if old else {}, unwrap(news))
        if failures:
            texts = [
                f"{failure.property}: {failure.reason}" if failure.property else failure.reason for failure in failures
            ]
            raise (
                ResourceError(
                    "\n".join(texts), hint="Correct the program or its settings.", state="Nothing was changed by it."
                )
                if len(texts) != 1 or "\n" not in failures[0].reason
                else ResourceError(failures[0].reason)
            )
        new["inputs"] = mark_secrets(inputs, news)

    def _diff(self, provider: Provider | None, old: Resource, new: Resource) -> Diff:
        """Return what separates the state from the program."""
        if new.get("deletedWith") in self._replaced:
            return Diff(("deletedWith",), ("deletedWith",))
        if old["custom"] != new["custom"] or bool(old.get("provider")) != bool(new.get("provider")):
            return Diff(("provider",), ("provider",))
        news = new.get("inputs", {})
        was = old.get("inputs", {})
        if provider is None:
            changed = tuple(change.path for change in steps.differences(was, news))
            return Diff(changed) if new["custom"] else Diff()
        was = steps.without_defaults(was, news)
        return provider.diff(new["type"], old.get("id", ""), unwrap(was), unwrap(old.get("outputs", {})), unwrap(news))

    def _same(self, old: Resource, new: Resource) -> Resource:
        new["outputs"] = old.get("outputs", {})
        if unwrap(steps.without_defaults(old.get("inputs", {}), new.get("inputs", {}))) == unwrap(
            new.get("inputs", {})
        ):
            new["inputs"] = old.get("inputs", {})
        kept = {key: value for key, value in new.items() if value or key == "custom"}
        # An equal resource stays the very same object: its text in the state is not made again.
        self._put(old, old if kept == {key: value for key, value in old.items() if value or key == "custom"} else kept)
        self._count("same", old)
        return self.news[new["urn"]]

    def _create(
        self, provider: Provider | None, new: Resource, *, replaces: Resource | None = None, diff: Diff | None = None
    ) -> Resource:
        kind: Operation = "replace" if replaces is not None or diff else "create"
        if not new["custom"]:
            new["created"] = new["modified"] = state.now()
            self._count(kind, new)
            self._put(replaces, new)
            self._told(kind, new, ())
            return new
        changes = self._changes(replaces, new, diff)
        with self._step(kind, new, changes, "creating"):
            if provider is None:
                new["id"] = UNKNOWN_ID if self.dry else str(uuid.uuid4())
                new["outputs"] = new.get("inputs", {})
            elif self.dry:
                new["id"], new["outputs"] = "", new["inputs"]
            else:
                id_, outputs = provider.create(new["type"], unwrap(new["inputs"]))
                new["id"], new["outputs"] = id_, self._marked(outputs, new)
            new["created"] = new["modified"] = state.now()
            self._put(replaces, new)
        return new

    def _update(self, provider: Provider | None, old: Resource, new: Resource, diff: Diff) -> Resource:
        with self._step("update", new, self._changes(old, new, diff), "updating", shown=old):
            if provider is None or self.dry:
                new["outputs"] = new.get("inputs", {})
            else:
                outputs = provider.update(
                    new["type"],
                    old["id"],
                    unwrap(old.get("inputs", {})),
                    unwrap(old.get("outputs", {})),
                    unwrap(new["inputs"]),
                )
                new["outputs"] = self._marked(outputs, new)
            new["modified"] = state.now()
            self._put(old, new)
        return new

    def _replace(self, provider: Provider | None, goal: Goal, old: Resource, new: Resource, diff: Diff) -> Resource:
        if old.get("protect") and new.get("protect"):
            refuse_protected([new], f"replaced, because {', '.join(diff.replaces)} cannot be changed in place")
        self._replaced.add(new["urn"])
        new.pop("id", None)
        new["inputs"] = dict(goal.inputs)
        self._check(provider, None, new)
        if not diff.delete_before_replace:
            created = self._create(provider, new, diff=diff)
            # The old one goes at the end, when everything that used it has moved over.
            self._swap(old, {**old, "delete": True})
            return created
        doomed = [*self._replaced_with(old), old]
        refuse_protected(protected_of(doomed[:-1]), f"replaced together with {goal.name}")
        for item in [old, *doomed[:-1]][::-1]:
            self._delete(item, {old["urn"]}, replaced=True)
        return self._create(provider, new, replaces=self._olds[new["urn"]], diff=diff)

    def _replaced_with(self, root: Resource) -> list[Resource]:
        """Return the dependents that must go before a resource that is deleted first: those it makes be replaced."""
        gone = {root["urn"]}
        found = []
        for item in steps.dependents(root["urn"], [item for item in self._before if item["urn"] in self._olds]):
            if (
                not item["custom"]
                or item.get("external")
                or item["urn"] in self.goals
                or item.get("pendingReplacement")
            ):
                continue
            deps = item.get("propertyDependencies", {})
            touched = {key for key in item.get("inputs", {}) if gone & set(deps.get(key, ()))}
            with_it = item.get("deletedWith") in gone or steps.provider_urn(item.get("provider", "")) in gone
            if not with_it and touched:
                unknown = {key: Unknown() if key in touched else value for key, value in item["inputs"].items()}
                with_it = bool(self._diff(self._provider_of(item), item, {**item, "inputs": unknown}).replaces)
            if with_it:
                gone.add(item["urn"])
                found.append(item)
        return found

    # Deletes -----------------------------------------------------------------------------------------------------

    def delete_the_rest(self) -> None:
        """Delete what the program did not register and what was replaced, in reverse order of dependency.

        Raises:
            ChatdbError: Some of it is protected; nothing is deleted then.
        """
        doomed = list(self._left.values())
        refuse_protected(protected_of(doomed), "deleted")
        urns = {item["urn"] for item in doomed if item["urn"] not in self.news}
        kept: set[str] = set()
        for item in reversed(doomed):
            if item["urn"] in kept and not item.get("delete"):
                kept |= steps.references(item)
                continue
            try:
                self._delete(item, urns)
            except Exception as error:
                self._failed(item, error)
                kept |= steps.references(item)

    def _delete(self, item: Resource, urns: set[str], *, replaced: bool = False) -> None:
        """Delete one resource; what goes with another that is deleted, or is to be kept, is only forgotten."""
        left = {**item, "pendingReplacement": True} if replaced else None
        stands = item["custom"] and not item.get("external") and not _is_provider(item) and not item.get("retainOnDelete")
        if stands and item.get("deletedWith") in urns:
            # It leaves the state when the other has really gone.
            self._going.append((item, left))
        elif not stands or item.get("pendingReplacement"):
            self._swap(item, left)
            if not item.get("delete") and not item.get("pendingReplacement"):
                self._told("delete", item, ())
                self._count("delete", item)
        else:
            provider = self._provider_of(item)
            with self._step("delete", item, (), "deleting", counted=not (replaced or item.get("delete"))):
                if not self.dry and provider is not None:
                    inputs, outputs = unwrap(item.get("inputs", {})), unwrap(item.get("outputs", {}))
                    provider.delete(item["type"], item["id"], inputs, outputs)
                self._went(item, left)

    def _went(self, item: Resource, left: Resource | None) -> None:
        """Take out of the state what was deleted and what went with it."""
        self._swap(item, left)
        for other, its_left in [entry for entry in self._going if entry[0].get("deletedWith") == item["urn"]]:
            self._going.remove((other, its_left))
            self._told("delete", other, ())
            self._count("delete", other)
            self._went(other, its_left)

    # Reads and outputs -------------------------------------------------------------------------------------------

    def read(self, goal: Goal, id_: str) -> Resource:
        """Read a StackReference."""
        name = str(unwrap(goal.inputs).get("name", id_))
        found = self._read_stack(name)
        urn = self.urn_of(goal)
        secret_names = sorted(key for key, value in found.items() if contains(value, Secret))
        new = goal.fields(urn)
        new["id"], new["inputs"] = id_, {"name": name}
        new["outputs"] = {"name": name, "outputs": found, "secretOutputNames": secret_names}
        old = self._olds.get(urn)
        self.goals[urn] = goal
        self._put(old, {**old, **new} if old else new)
        return new

    def outputs(self, urn: str, values: dict[str, Any]) -> None:
        """Record the outputs of a component or of the stack."""
        resource = self.news.get(urn)
        if resource is None:
            return
        old = self._olds.get(urn, {}).get("outputs", {})
        if not self.dry:
            # Unknown in an update: what it came from failed. What was there before stays.
            values = {key: value for key, value in values.items() if not contains(value, Unknown)} | {
                key: old[key] for key, value in values.items() if contains(value, Unknown) and key in old
            }
        if values != resource.get("outputs", {}):
            changed = {**resource, "outputs": values}
            self.news[urn] = {key: value for key, value in changed.items() if value or key == "custom"}

    def close(self) -> None:
        """Let go of the providers' connections."""
        for provider in self._providers.values():
            if provider is not None:
                provider.close()

    # Parts -------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read every resource and take over what is there now."""
        gone: set[str] = set()
        for item in list(self._left.values()):
            new: Resource | None = item
            if item["custom"] and not item["type"].startswith("pulumi:providers:") and not item.get("delete"):
                try:
                    new = self._read(item)
                except Exception as error:
                    self._failed(item, error)
            if new is None:
                gone.add(item["urn"])
            for urn in gone & steps.references(new or {}):
                new = steps.rename(new or {}, urn, "")
            self._swap(item, _without_blanks(new) if new is not None and new is not item else new)

    def _read(self, item: Resource) -> Resource | None:
        if item["type"] == STACK_REFERENCE:
            found = self._read_stack(item["inputs"]["name"])
            id_, inputs, outputs = item["id"], item["inputs"], {**item["outputs"], "outputs": found}
        else:
            provider = self._provider_of(item)
            if provider is None:
                return item
            id_, inputs, outputs = provider.read(
                item["type"], item["id"], unwrap(item.get("inputs", {})), unwrap(item.get("outputs", {}))
            )
        if id_ is None:
            self._told("delete", item, ())
            self._count("delete", item)
            return None
        changes = steps.differences(item.get("outputs", {}), mark_secrets(outputs, item.get("outputs", {})))
        if not changes and unwrap(item.get("inputs", {})) == inputs:
            self._count("same", item)
            return item
        self._told("update", item, tuple(changes))
        self._count("update", item)
        new = {**item, "id": id_, "inputs": mark_secrets(inputs, item.get("inputs", {})), "modified": state.now()}
        new["outputs"] = mark_secrets(self._marked(outputs, new), item.get("outputs", {}))
        return new

    def _provider_of(self, resource: Resource) -> Provider | None:
        """Return the provider of a resource; None for components, providers, and where it is not known yet."""
        urn = steps.provider_urn(resource.get("provider", ""))
        if not urn or resource["type"] == STACK_REFERENCE:
            return None
        if urn not in self._providers:
            declared = self.news.get(urn) or self._olds.get(urn)
            if declared is None:
                raise ChatdbError(
                    f"the provider of {resource['type']} is not there",
                    detail=urn,
                    hint="Declare it before its resources.",
                )
            inputs = declared.get("inputs", {})
            known = not contains(inputs, Unknown)
            self._providers[urn] = (
                self._make_provider(steps.package_of(declared["type"]), unwrap(inputs)) if known else None
            )
        return self._providers[urn]

    def _marked(self, outputs: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
        """Return the outputs with their secrets marked: as the inputs are, and as `additionalSecretOutputs` asks."""
        marked = mark_secrets(outputs, resource.get("inputs", {}))
        for key in resource.get("additionalSecretOutputs", ()):
            if key in marked and not isinstance(marked[key], Secret):
                marked[key] = Secret(marked[key])
        return marked

    def _changes(self, old: Resource | None, new: Resource, diff: Diff | None) -> tuple[Change, ...]:
        """Return what differs, property by property; where the program asks for the same, what drifted."""
        old = self._olds.get(new["urn"]) if diff and old is None else old
        replaces = set(diff.replaces) if diff else set()
        news = new.get("inputs", {})
        found = steps.differences(steps.without_defaults((old or {}).get("inputs", {}), news), news)
        seen = {_root(change.path) for change in found}
        for key in diff.changed if diff and old else ():
            if key not in seen and key in news:
                found += steps.differences((old or {}).get("outputs", {}).get(key), news[key], key)
        return tuple(Change(item.path, item.old, item.new, replaces=_root(item.path) in replaces) for item in found)

    def _put(self, old: Resource | None, new: Resource) -> None:
        """Take a resource as it is now into the state, in the place of the old one."""
        if old is not None:
            self._left.pop(id(self._olds.get(new["urn"], old)), None)
        self.news[new["urn"]] = new if new is old else _without_blanks(new)

    def _swap(self, old: Resource, new: Resource | None) -> None:
        """Put another object in the place of one that is left from before; None takes it out."""
        if new is None:
            self._left.pop(id(old), None)
        elif new is not old:
            self._left = {id(item): item for item in (new if item is old else item for item in self._left.values())}
            if self._olds.get(old["urn"]) is old:
                self._olds[old["urn"]] = new

    @contextmanager
    def _step(
        self,
        kind: Operation,
        resource: Resource,
        changes: tuple[Change, ...],
        pending: str,
        *,
        counted: bool = True,
        shown: Resource | None = None,
    ) -> Iterator[None]:
        """Save and report around one operation."""
        if counted:
            self._count(kind, resource)
        if self.dry or (resource["type"].startswith("pulumi:providers:")):
            self._told(kind, resource, changes)
            yield
            return
        entry = ({**(shown or resource)}, pending)
        self._pending.append(entry)
        self.save()
        self._tell(kind, "start", resource, changes)
        began = time.monotonic()
        try:
            yield
        finally:
            self._pending.remove(entry)
            self.save()
        self._tell(kind, "done", resource, changes, seconds=time.monotonic() - began)

    def save(self) -> None:
        """Put the stack as it is now on the disk."""
        if self._save is not None:
            self._save(self.snapshot())

    def _failed(self, resource: Resource, error: Exception) -> None:
        self._skipped.add(resource["urn"])
        worded = in_words(error, resource["type"], steps.name_of(resource["urn"]))
        self.errors.append(worded)
        self._tell("log", "failed", resource, (), message=str(worded))

    def _count(self, kind: str, resource: Resource) -> None:
        if not _is_default_provider(resource):
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def _told(self, kind: Operation, resource: Resource, changes: tuple[Change, ...]) -> None:
        if not _is_default_provider(resource):
            self._tell(kind, "planned" if self.dry else "done", resource, changes)

    def _tell(
        self,
        kind: Operation,
        phase: Any,
        resource: Resource,
        changes: tuple[Change, ...],
        *,
        seconds: float = 0.0,
        message: str = "",
    ) -> None:
        self._report(
            StepEvent(
                operation=kind,
                phase=phase,
                urn=resource["urn"],
                type=resource["type"],
                name=steps.name_of(resource["urn"]),
                changes=changes,
                seconds=seconds,
                message=message,
            )
        )


def protected_of(resources: list[Resource]) -> list[Resource]:
    """Return the resources that must not be deleted."""
    return [item for item in resources if item.get("protect") and not item.get("delete")]


def _inherited(goal: Goal, parent: Goal | None) -> Goal:
    """Return the goal with what it takes from its parent where it says nothing itself."""
    from dataclasses import replace

    if parent is None:
        return goal
    return replace(
        goal,
        protect=parent.protect if goal.protect is None else goal.protect,
        retain_on_delete=parent.retain_on_delete if goal.retain_on_delete is None else goal.retain_on_delete,
        deleted_with=goal.deleted_with or parent.deleted_with,
    )


def refuse_protected(resources: list[Resource], fate: str) -> None:
    """Raise an error that names the protected resources, where there are any."""
    if not resources:
        return
    names = ", ".join(f"{item['type']} {steps.name_of(item['urn'])}" for item in resources)
    raise ChatdbError(
        f"protected resources would be {fate}",
        detail=names,
        hint="Leave them in the program as they are, or take `protect` off them first and run `up` once.",
        state="None of them was touched.",
    )


def _is_provider(resource: Resource) -> bool:
    return str(resource["type"]).startswith("pulumi:providers:")


def _is_default_provider(resource: Resource) -> bool:
    return resource["type"].startswith("pulumi:providers:") and steps.name_of(resource["urn"]).startswith("default")


def _root(path: str) -> str:
    return path.split(".")[0].split("[")[0]


def _without_blanks(resource: Resource) -> Resource:
    """Return the resource without empty fields, as the official state leaves them out."""
    deps = [urn for urn in resource.get("dependencies", ()) if urn]
    cleaned = {**resource, "dependencies": deps}
    return {key: value for key, value in cleaned.items() if value or key == "custom"}
