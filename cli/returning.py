"""Come back to data that a destroyed stack kept, or take over a database from before any stack: into the state with it.

Called by `cli.stacks` and `cli.promote` before an update. It asks the server and nothing on this machine: whoever
destroyed the stack, on whichever machine and engine, the next `chatdb up` goes on with the data. What was there before
any stack is taken over where the setting `adopt` asks for it; its tables, the runner compares before it records them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from cli import engines, teardown
from cli.administration import administrator, names_in
from cli.context import has_state, project, server_of, switched_on
from infra import products
from infra.connection import Target
from infra.errors import ChatdbError, RefusedError
from infra.naming import RoleNames


def come_back(stack: str, engine: engines.Engine) -> None:
    """Take over each product that the stack names, its state lacks and the server keeps for it, or is to adopt.

    Raises:
        ChatdbError: a database may not be adopted.
    """
    from embedded import kept, settings

    found = deployment(stack, engine)
    lacking = kept.lacking(found, teardown.named(stack))
    standing = _standing(stack, lacking, engine, _kept) if lacking else []
    if standing:
        print(f"the data of {', '.join(one.name for one in standing)} was kept: taking it over again", file=sys.stderr)
    others = [name for name in lacking if name not in {one.name for one in standing}]
    adopted = _adopted(stack, others, engine, ours=kept.roles(found))
    for one in adopted:
        print(f"the database {one.database} stands already, owned by {one.owner}: adopting it", file=sys.stderr)
    standing += adopted
    if not standing:
        return
    admin = administrator(stack, engine)
    server = {
        "host": admin.host,
        "port": str(admin.port),
        "username": admin.user,
        "database": admin.database,
        "sslmode": admin.sslmode,
        "superuser": "true" if server_of(stack) or switched_on(stack, "superuser") else "false",
    }
    name = settings.project_name(project())
    for one in standing:
        found = kept.taken_over(found, one, project=name, stack=stack, server=server)
    teardown.put_deployment(stack, engine, found)


def kept_products(stack: str, engine: engines.Engine) -> list[str]:
    """Return the products whose data the server keeps for a stack that is not up."""
    return [one.name for one in _standing(stack, teardown.named(stack), engine, _kept)]


def deployment(stack: str, engine: engines.Engine) -> dict[str, Any]:
    """Return the stack's deployment; one without resources where it was never up."""
    from embedded.settings import encryption_salt

    if engine == "pulumi" or has_state(stack):
        return teardown.deployment_of(stack, engine)
    salt = encryption_salt(project(), stack)
    secrets = {"secrets_providers": {"type": "passphrase", "state": {"salt": salt}}} if salt else {}
    return {"version": 3, "deployment": secrets}


def _adopted(stack: str, names: list[str], engine: engines.Engine, *, ours: set[str]) -> list[Any]:
    """Return what stands of products from before any stack, where this one adopts.

    Raises:
        ChatdbError: the stack would drop it with `destroy`.
    """
    asked = names if switched_on(stack, "adopt") else []
    adopted = _standing(stack, asked, engine, partial(_before, ours=ours)) if asked else []
    if adopted and not teardown.is_protected(stack):
        raise RefusedError(
            f"the database {adopted[0].database} was there before the stack {stack}, whose `destroy` would drop it",
            detail="chatdb:adopt asks to take over what stands, chatdb:onDestroy says drop",
            hint=f"Let it be kept: chatdb config set --stack {stack} chatdb:onDestroy keep",
        )
    return adopted


def _standing(
    stack: str, names: list[str], engine: engines.Engine, look: Callable[[str, str, Target], Any]
) -> list[Any]:
    """Return what stands of some products; nothing where the server cannot be asked, which the update says itself."""
    server = server_of(stack)
    if server is not None and not server.running():
        return []
    try:
        admin = administrator(stack, engine)
        found = [look(stack, name, admin) for name in names]
    except ChatdbError:
        return []
    return [one for one in found if one]


def _kept(stack: str, name: str, admin: Target) -> Any:
    """Return what stands of a product; None where nothing is kept."""
    from embedded import kept
    from infra import kept as on_server

    product, names, logins = _roles(stack, name)
    there = on_server.roles(admin, database=product.database, owner=names.owner, logins=list(logins), stack=stack)
    resources = {names.owner: f"{name}-owner", **logins}
    roles = {resources[role]: role for role in there}
    return kept.Product(name, product.database, names.owner, roles) if roles else None


def _before(stack: str, name: str, admin: Target, *, ours: set[str]) -> Any:
    """Return the database of a product that was there before any stack; None where there is none.

    A first update that did not adopt may have made roles of ours beside it.
    """
    from embedded import kept
    from infra import kept as on_server

    product, names, logins = _roles(stack, name)
    others = [role for role in (names.owner, *logins) if role not in ours]
    owner = on_server.owner_before(admin, database=product.database, roles=others)
    return kept.Product(name, product.database, owner, {}) if owner else None


def _roles(stack: str, name: str) -> tuple[products.Product, RoleNames, dict[str, str]]:
    """Return a product, its roles, and the names of the resources that its logins are."""
    from infra import rotation

    product = products.load(name)
    names = names_in(stack, product)
    logins = {login.role: f"{name}-{login.label}" for login in rotation.logins(names, rotation.FIRST + 1)}
    return product, names, logins
