"""What is done to the resources of the state without the program: take over what is there, and delete.

Called by `deployment` and, for what is replaced, by `registration`. Deletes go in reverse order of dependency.
"""

from __future__ import annotations

from collections.abc import Sequence

from embedded.engine import state, steps
from embedded.engine.steps import Resource
from embedded.engine.values import mark_secrets
from embedded.engine.work import Work
from infra.errors import ChatdbError


def refresh(work: Work) -> None:
    """Read every resource; what is gone leaves the state, what differs is as it was found."""
    gone: set[str] = set()
    new: Resource | None
    for item in list(work.left):
        new = item
        if item["custom"] and not steps.is_provider(item) and not item.get("delete"):
            try:
                new = _read(work, item)
            except Exception as error:
                work.fail(item, error)
        if new is None:
            gone.add(item["urn"])
        for urn in gone & steps.references(new or {}):
            new = steps.rename(new or {}, urn, "")
        if new is not item:
            work.swap(item, new and steps.without_blanks(new))


def _read(work: Work, item: Resource) -> Resource | None:
    """Return a resource as it is now; None where it is gone, the same object where nothing differs."""
    old_inputs, old_outputs = item.get("inputs", {}), item.get("outputs", {})
    id_, inputs, outputs = item["id"], old_inputs, old_outputs
    if item["type"] == steps.STACK_REFERENCE:
        outputs = {**old_outputs, "outputs": work.stack.read_other(old_inputs["name"])}
    elif provider := work.provider_of(item):
        id_, inputs, outputs = provider.read(item["type"], item["id"], *steps.plain(item))
    if id_ is None:
        work.told("delete", item)
        return None
    # The official provider keeps notes of its own and the id among the outputs, and leaves out what is empty.
    changes = [
        change
        for old, new in ((old_inputs, inputs), (old_outputs, outputs))
        for change in steps.differences(old, mark_secrets(new, old))
        if (change.old or change.new) and change.path != "id" and not change.path.startswith("__")
    ]
    if not changes:
        work.told("same", item)
        return item
    work.told("update", item, tuple(changes))
    new = {**item, "id": id_, "inputs": mark_secrets(inputs, old_inputs), "modified": state.now()}
    return {**new, "outputs": mark_secrets(work.marked(outputs, new), old_outputs)}


def refuse(protected: Sequence[Resource], fate: str) -> None:
    """Raise an error that names the protected resources, where there are any."""
    if protected:
        named = ", ".join(f"{item['type']} {steps.name_of(item['urn'])}" for item in protected)
        hint = "Leave them in the program as they are, or take `protect` off them first and run `up` once."
        what, left = f"protected resources would be {fate}", "None of them was touched."
        raise ChatdbError(what, detail=named, hint=hint, state=left)


def delete_the_rest(work: Work) -> None:
    """Delete what the program did not register, and what was replaced.

    Raises:
        ChatdbError: Some of it is protected; nothing is deleted then.
    """
    refuse([item for item in work.left if item.get("protect") and not item.get("delete")], "deleted")
    delete(work, work.left)


def delete(work: Work, doomed: Sequence[Resource], *, replaced: bool = False) -> None:
    """Delete resources, the last first; each leaves the state when it is really gone.

    Args:
        work: The run.
        doomed: In the order of the state, in which nothing stands before what it depends on.
        replaced: They will be made again: the state keeps them, marked, until then, and a failure is raised.
    """
    urns = {item["urn"] for item in doomed if replaced or item["urn"] not in work.news}
    needed: set[str] = set()
    going: list[Resource] = []

    def forget(item: Resource) -> None:
        """Take out of the state what is gone, and what went with it."""
        work.swap(item, {**item, "pendingReplacement": True} if replaced else None)
        for other in [other for other in going if other.get("deletedWith") == item["urn"]]:
            going.remove(other)
            work.told("delete", other, counted=not replaced)
            forget(other)

    for item in reversed(doomed):
        ours = item["custom"] and not (item.get("external") or item.get("retainOnDelete") or steps.is_provider(item))
        try:
            if item["urn"] in needed:
                needed |= steps.references(item)
            elif item.get("pendingReplacement"):
                forget(item)
            elif ours and item.get("deletedWith") in urns:
                going.append(item)
            else:
                with work.step("delete", item, counted=not (replaced or item.get("delete"))):
                    if ours:
                        _call(work, item)
                    forget(item)
        except Exception as error:
            if replaced:
                raise
            work.fail(item, error)
            needed |= steps.references(item)


def _call(work: Work, item: Resource) -> None:
    if not work.dry and (provider := work.provider_of(item)):
        provider.delete(item["type"], item["id"], *steps.plain(item))
