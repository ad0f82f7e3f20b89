"""Delete resources in reverse order of dependency. Called by `registration` and, at the end, by `deployment`."""

from __future__ import annotations

from collections.abc import Sequence

from embedded.engine import steps
from embedded.engine.steps import Resource
from embedded.engine.work import Work
from infra.errors import ChatdbError


def refuse(protected: Sequence[Resource], fate: str) -> None:
    """Raise an error that names the protected resources, where there are any."""
    if protected:
        raise ChatdbError(
            f"protected resources would be {fate}",
            detail=", ".join(f"{item['type']} {steps.name_of(item['urn'])}" for item in protected),
            hint="Leave them in the program as they are, or take `protect` off them first and run `up` once.",
            state="None of them was touched.",
        )


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
