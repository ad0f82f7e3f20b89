"""What a deployment gets where a stack comes back to data or adopts it, and what it loses before data goes. Pure.

Called by `cli.teardown` and `cli.returning`. What stands on the server is the truth: of a kept product, roles and
database cannot be made a second time, so they are put into the state as they stand, closed; all else the next `up`
makes anew over what there is. Both engines read it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

STACK = "pulumi:pulumi:Stack"
COMPONENT = "chatdb:index:ChatDatabase"
PROVIDER = "pulumi:providers:postgresql"
ROLE = "postgresql:index/role:Role"
DATABASE = "postgresql:index/database:Database"
GUARD = "chatdb:Teardown"
# What the plugin would set again where the state does not have it; some of it only a superuser may even name.
ROLE_DEFAULTS = {
    **dict.fromkeys(("superuser", "createDatabase", "createRole", "replication", "bypassRowLevelSecurity"), False),
    "inherit": True,
    "connectionLimit": -1,
    "validUntil": "infinity",
    "encryptedPassword": True,
    **dict.fromkeys(("skipDropRole", "skipReassignOwned"), False),
}
DATABASE_DEFAULTS = {
    "allowConnections": True,
    "connectionLimit": -1,
    "isTemplate": False,
    "alterObjectOwnership": False,
}


class Product(NamedTuple):
    """What stands of a product that was kept.

    Attributes:
        name: The product.
        database: Its database.
        owner: Role that owns it now.
        roles: The roles of ours that stand, by the names of their resources.
    """

    name: str
    database: str
    owner: str
    roles: Mapping[str, str]


def without_protection(deployment: Mapping[str, Any], *, empty: Sequence[str] = ()) -> dict[str, Any]:
    """Return a deployment in which nothing is protected any more; what guards it then is its guard alone.

    Args:
        deployment: The stack's, as `pulumi stack export` prints it.
        empty: Products that have no guard and hold nothing: they are not retained either.
    """
    made: dict[str, Any] = json.loads(json.dumps(deployment))
    parents = tuple(f"{COMPONENT}::{product}" for product in empty)
    for resource in _resources(made):
        resource.pop("protect", None)
        if resource.get("parent", "").endswith(parents):
            resource.pop("retainOnDelete", None)
    return made


def databases(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a deployment has of each product: its database and owner, as the stack's output `products` says."""
    return {
        item["urn"].rpartition("::")[2].removesuffix("-database"): {
            "database": item["inputs"]["name"],
            "roles": {"owner": item["inputs"].get("owner", "")},
        }
        for item in _resources(deployment)
        if item["type"] == DATABASE
    }


def unguarded(deployment: Mapping[str, Any]) -> list[str]:
    """Return the products that have no guard in a deployment: it is the last that an update makes of one."""
    resources = _resources(deployment)
    carried = (item["urn"].rpartition("::")[2] for item in resources if item["type"] == COMPONENT)
    guarded = {item["urn"].rpartition("::")[2] for item in resources if item["type"].endswith(GUARD)}
    return sorted(name for name in carried if f"{name}-teardown" not in guarded)


def database_of(product: str) -> str:
    """Return the name of the resource that is a product's database."""
    return f"{product}-database"


def lacking(deployment: Mapping[str, Any], products: list[str]) -> list[str]:
    """Return the products whose databases a deployment does not have."""
    there = {item["urn"].rpartition("::")[2] for item in _resources(deployment) if item["type"] == DATABASE}
    return [name for name in products if database_of(name) not in there]


def roles(deployment: Mapping[str, Any]) -> set[str]:
    """Return the names of the roles that a deployment has."""
    return {item["inputs"]["name"] for item in _resources(deployment) if item["type"] == ROLE}


def _resources(deployment: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the resources of a deployment; none where there is no state yet."""
    return deployment.get("deployment", {}).get("resources") or ()


def taken_over(
    deployment: Mapping[str, Any], product: Product, *, project: str, stack: str, server: Mapping[str, str]
) -> dict[str, Any]:
    """Return a deployment with a product's roles and database in it, protected and retained.

    Args:
        deployment: The stack's, as `pulumi stack export` prints it.
        product: What stands.
        project: Name of the project.
        stack: Name of the stack.
        server: Inputs of the provider, without secrets; of use where the deployment has no provider yet.
    """
    made: dict[str, Any] = json.loads(json.dumps(deployment))
    resources: list[dict[str, Any]] = made["deployment"].get("resources") or []
    made["deployment"]["resources"] = resources
    known = {item["urn"]: item for item in resources}

    def urn(type_: str, name: str) -> str:
        return f"urn:pulumi:{stack}::{project}::{type_}::{name}"

    def add(type_: str, name: str, **more: Any) -> dict[str, Any]:
        made_urn = urn(type_, name)
        if made_urn not in known:
            known[made_urn] = {"urn": made_urn, "custom": "id" in more, "type": type_.rpartition("$")[2], **more}
            resources.append(known[made_urn])
        return known[made_urn]

    root = add(STACK, f"{project}-{stack}")["urn"]
    inputs = {**server, "version": version("pulumi-postgresql")}
    provider = add(PROVIDER, "server", id=str(uuid.uuid4()), inputs=inputs, outputs=inputs, parent=root)
    shared = {
        "parent": add(COMPONENT, product.name, parent=root)["urn"],
        "provider": f"{provider['urn']}::{provider['id']}",
        "protect": True,
        "retainOnDelete": True,
    }
    roles = []
    for name, role in product.roles.items():
        facts = {"name": role, "login": False}
        added = add(
            f"{COMPONENT}${ROLE}", name, id=role, inputs=facts, outputs={"id": role, **ROLE_DEFAULTS, **facts}, **shared
        )
        roles.append(added["urn"])
    database = product.database
    facts = {"name": database, "owner": product.owner, "template": "template0", "encoding": "UTF8"}
    add(
        f"{COMPONENT}${DATABASE}",
        database_of(product.name),
        id=database,
        inputs=facts,
        outputs={"id": database, **DATABASE_DEFAULTS, **facts},
        dependencies=roles,
        **shared,
    )
    return made
