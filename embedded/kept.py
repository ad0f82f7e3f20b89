"""What stays of a stack whose data is kept when it is destroyed, and how it comes back. Pure.

Called by `cli.teardown`. The deployment of such a stack is put aside without what a later `up` must make anew: the
passwords, which nobody knows any more, and the guard, which opens the logins when it is made. Both engines read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MADE_ANEW = ("chatdb:Credential", "chatdb:Teardown")
ROLE = "postgresql:index/role:Role"
STACK = "pulumi:pulumi:Stack"
COMPONENT = "chatdb:index:ChatDatabase"


def without_protection(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deployment in which nothing is protected any more; what guards it then is its guard alone."""
    made: dict[str, Any] = json.loads(json.dumps(deployment))
    for resource in made["deployment"].get("resources") or ():
        resource.pop("protect", None)
    return made


def to_keep(deployment: Mapping[str, Any], *, product: str = "") -> dict[str, Any]:
    """Return the deployment that a later `up` goes on from.

    Args:
        deployment: The stack's as it was before anything was let go, as `pulumi stack export` prints it.
        product: Only what is this product's; the whole stack where it is empty.
    """
    made = without_protection(deployment)
    inner = made["deployment"]
    resources = inner.get("resources") or []
    if product:
        own = {item["urn"] for item in resources if item["urn"].endswith(f"{COMPONENT}::{product}")}
        resources = [item for item in resources if item["urn"] in own or item.get("parent") in own]
    gone = {item["urn"] for item in resources if item["type"].endswith(MADE_ANEW)}
    inner["resources"] = [_closed(item, gone) for item in resources if item["urn"] not in gone]
    inner.pop("pending_operations", None)
    inner.pop("pendingOperations", None)
    return made


def joined(deployment: Mapping[str, Any], product: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stack's deployment with that of a product which comes back to it."""
    made: dict[str, Any] = json.loads(json.dumps(deployment))
    resources = made["deployment"].setdefault("resources", [])
    there = {item["urn"] for item in resources}
    resources += [item for item in product["deployment"]["resources"] if item["urn"] not in there]
    return made


def _closed(item: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """Return a resource as it is once the logins are closed, without mention of what is gone."""
    kept = dict(item)
    if "dependencies" in item:
        kept["dependencies"] = [urn for urn in item["dependencies"] if urn not in gone]
    if "propertyDependencies" in item:
        kept["propertyDependencies"] = {
            key: [urn for urn in urns or () if urn not in gone] for key, urns in item["propertyDependencies"].items()
        }
    if item["type"] == ROLE:
        for side in ("inputs", "outputs"):
            if item.get(side, {}).get("login"):
                kept[side] = {**item[side], "login": False}
    if item["type"] == STACK:
        kept["outputs"] = {}  # the connections in it are closed
    return kept
