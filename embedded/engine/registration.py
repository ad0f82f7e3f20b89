"""Bring each resource that the program registers to what it wants: same, update, replace, create. Called by `monitor`.

One resource at a time, in the order they arrive: providers need no locks of their own, and a run can be repeated.
"""

from __future__ import annotations

import uuid
from typing import Any

from embedded.engine import standing, state, steps
from embedded.engine.errors import ResourceError
from embedded.engine.provider import Diff, Failure
from embedded.engine.steps import Changes, Goal, Resource
from embedded.engine.values import UNKNOWN, has_secret, is_known, mark_secrets, unwrap
from embedded.engine.work import Work
from embedded.events import Operation
from infra.errors import ChatdbError, from_text


class Registrar:
    """Takes the program's resources, one after the other."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.goals: dict[str, Goal] = {}
        self._former: dict[str, str] = {}
        self._replaced: set[str] = set()

    def urn_of(self, goal: Goal) -> str:
        """Return the URN of a resource in this stack."""
        place, parent = self.work.stack.place, goal.get("parent", "")
        return steps.make_urn(**place, parent=parent, type_=goal["type"], name=goal["name"])

    def register(self, goal: Goal) -> Resource | None:
        """Bring one resource to what the program wants.

        Returns:
            The resource as it is now (in a preview: as far as it is known), or None where it failed or had to be left
            out because something it needs failed.

        Raises:
            ChatdbError: Two resources have the same type, parent and name.
        """
        urn = self.urn_of(goal)
        if urn in self.goals:
            what = f"{goal['type']} {goal['name']} is declared twice"
            raise ChatdbError(what, detail=f"URN {urn}", hint="Give one of them another name.")
        parent = self.goals.get(goal.get("parent", ""), {})
        goal = self.goals[urn] = {key: parent[key] for key in steps.INHERITED if key in parent} | goal
        old, new = self._find_old(urn, goal), steps.wanted(goal, urn)
        if steps.references(new) & self.work.failed:
            self.work.failed.add(urn)
            return None
        try:
            return self._advance(goal, old, new)
        except Exception as error:
            self.work.fail(new, error)
        return None

    def _find_old(self, urn: str, goal: Goal) -> Resource | None:
        for former in steps.former_urns(goal, **self.work.stack.place, former=self._former):
            if urn not in self.work.olds and former in self.work.olds and former not in self.goals:
                self._former[urn] = former
                self.work.rename(former, urn)
        return self.work.olds.get(urn)

    def _advance(self, goal: Goal, old: Resource | None, new: Resource) -> Resource:
        """Decide between same, update, replace and create, and do it."""
        if old is not None:
            # What the goal does not decide (id, times, where it was declared) stays.
            new = {key: value for key, value in old.items() if key not in steps.GOAL_KEYS} | new
            ignored = goal.get("ignoreChanges", ())
            new["inputs"] = steps.keep_ignored(new.get("inputs", {}), old.get("inputs", {}), ignored)
        if old is None or _is_gone(old):
            self._check({}, new)
            return self._bring("replace" if old else "create", old, new, Diff())
        self._check(old.get("inputs", {}), new)
        diff = self._diff(old, new)
        if diff.replaces:
            return self._replace(goal, old, new, diff)
        if diff.changed or self.work.interrupted(new["urn"], "updating"):
            return self._bring("update", old, new, diff)
        new["outputs"] = old.get("outputs", {})
        # An equal resource stays the very same object: its text in the state is not made again.
        self.work.put(old, old if steps.without_blanks(new) == steps.without_blanks(old) else new)
        self.work.told("same", new)
        return new

    def _check(self, olds: dict[str, Any], new: Resource) -> None:
        news, failures = new.get("inputs", {}), list[Failure]()
        if provider := self.work.provider_of(new):
            inputs, failures = provider.check(new["type"], unwrap(olds), unwrap(news))
            new["inputs"] = mark_secrets(inputs, news)
        elif new["type"] == "pulumi:providers:postgresql":
            from embedded.engine.postgresql import check_config

            failures = check_config(unwrap(news))
        texts = [f"{item.property}: {item.reason}".removeprefix(": ") for item in failures]
        if texts:
            raise from_text(texts[0]) if len(texts) == 1 else ResourceError("\n".join(texts))

    def _diff(self, old: Resource, new: Resource) -> Diff:
        """Return what separates the state from the program."""
        if new.get("deletedWith") in self._replaced:
            return Diff(("deletedWith",), ("deletedWith",))
        if old["custom"] != new["custom"] or bool(old.get("provider")) != bool(new.get("provider")):
            return Diff(("provider",), ("provider",))
        was, news = old.get("inputs", {}), new.get("inputs", {})
        if (provider := self.work.provider_of(new)) is None:
            return Diff(tuple(change.path for change in steps.differences(was, news)) if new["custom"] else ())
        return provider.diff(new["type"], old.get("id", ""), *steps.plain(old), unwrap(news))

    def _bring(self, kind: Operation, old: Resource | None, new: Resource, diff: Diff) -> Resource:
        """Update a resource, or make it: new, in place of one that is gone, or beside one that stays until the end."""
        work, before, outputs = self.work, old or {}, new.get("inputs", {})
        provider = None if work.dry else work.provider_of(new)
        if kind == "update":
            new["outputs"] = before.get("outputs", {})
        with work.step(kind, new, self._changes(before, new, diff)):
            new["modified"] = state.now()
            if kind != "update":
                new["created"] = new["modified"]
                new["id"] = "" if not steps.is_provider(new) else UNKNOWN if work.dry else str(uuid.uuid4())
            if provider and kind == "update":
                outputs = provider.update(new["type"], new["id"], *steps.plain(before), unwrap(outputs))
            elif provider:
                resumed = work.interrupted(new["urn"], "creating")
                new["id"], outputs = provider.create(new["type"], unwrap(outputs), resumed=resumed)
            if new["custom"]:
                new["outputs"] = work.marked(outputs, new)
            if old and kind == "replace" and not _is_gone(old):
                # It goes at the end, when everything that used it has moved over.
                work.swap(old, {**old, "delete": True})
                old = None
            work.put(old, new)
        return new

    def _replace(self, goal: Goal, old: Resource, new: Resource, diff: Diff) -> Resource:
        if old.get("protect") and new.get("protect"):
            standing.refuse([new], f"replaced, because {', '.join(diff.replaces)} cannot be changed in place")
        self._replaced.add(new["urn"])
        new = {key: value for key, value in new.items() if key != "id"} | {"inputs": dict(goal["inputs"])}
        self._check({}, new)
        if not goal.get("deleteBeforeReplace", "deleteBeforeReplaceDefined" not in goal and diff.delete_before_replace):
            return self._bring("replace", old, new, diff)
        doomed = self._dependents(old)
        standing.refuse([item for item in doomed if item.get("protect")], f"replaced together with {goal['name']}")
        standing.delete(self.work, [old, *doomed], replaced=True)
        return self._bring("replace", self.work.olds[new["urn"]], new, diff)

    def _dependents(self, root: Resource) -> list[Resource]:
        """Return what must go before a resource that is deleted first: the dependents that it makes be replaced.

        Source: calculateDependentReplacements in pkg/resource/deploy/step_generator.go of Pulumi.
        """
        gone, found = {root["urn"]}, []
        for item in self.work.left:
            if not item["custom"] or _is_gone(item) or item["urn"] in self.goals or item.get("delete"):
                continue
            deps = item.get("propertyDependencies", {})
            touched = {key: UNKNOWN for key in item.get("inputs", {}) if gone & set(deps.get(key, ()))}
            unknown = {**item, "inputs": {**item.get("inputs", {}), **touched}}
            if item.get("deletedWith") in gone or (touched and self._diff(item, unknown).replaces):
                gone.add(item["urn"])
                found.append(item)
        return found

    def _changes(self, old: Resource, new: Resource, diff: Diff) -> Changes:
        """Return what differs, property by property; where the program asks for the same as before, what drifted."""
        news = new.get("inputs", {})
        found = steps.differences(old.get("inputs", {}), news)
        seen = {change.root for change in found}
        for key in diff.changed if old else ():
            if key not in seen and key in news:
                found += steps.differences(old.get("outputs", {}).get(key), news[key], key)
        return tuple(found)

    def read(self, goal: Goal, id_: str) -> Resource:
        """Read a StackReference; it is in the state as something that is not ours."""
        urn, name = self.urn_of(goal), str(unwrap(goal["inputs"]).get("name", id_))
        found = self.work.stack.read_other(name)
        names = sorted(key for key, value in found.items() if has_secret(value))
        outputs = {"name": name, "outputs": found, "secretOutputNames": names}
        new = {**steps.wanted(goal, urn), "id": id_, "inputs": {"name": name}, "outputs": outputs}
        old = self.work.olds.get(urn)
        self.goals[urn] = goal
        self.work.put(old, {**(old or {}), **new})
        return new

    def outputs(self, urn: str, values: dict[str, Any]) -> None:
        """Record the outputs of a component or of the stack."""
        if (resource := self.work.news.get(urn)) is None:
            return
        if not self.work.dry:
            # Unknown in an update: what it came from failed. What was there before stays.
            old = self.work.olds.get(urn, {}).get("outputs", {})
            values = {key: old.get(key, UNKNOWN) if not is_known(value) else value for key, value in values.items()}
            values = {key: value for key, value in values.items() if is_known(value)}
        if values != resource.get("outputs", {}):
            self.work.news[urn] = steps.without_blanks({**resource, "outputs": values})


def _is_gone(old: Resource) -> bool:
    """Tell whether nothing of ours stands any more, or ever stood, for a resource that the state has."""
    return bool(old.get("pendingReplacement") or old.get("external"))
