"""Take over what is really there, without the program. Called by `deployment`."""

from __future__ import annotations

from embedded.engine import state, steps
from embedded.engine.steps import Resource
from embedded.engine.values import mark_secrets
from embedded.engine.work import Work


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
