"""Come back to data that a destroyed stack kept: what stands on the server is taken into the state.

Called by `cli.stacks` and `cli.promote` before an update. It asks the server and nothing on this machine: whoever
destroyed the stack, on whichever machine and engine, the next `chatdb up` goes on with the data.
"""

from __future__ import annotations

import sys
from typing import Any

from cli import engines, teardown
from cli.administration import administrator, names_in
from cli.context import has_state, project, server_of, setting
from infra import products
from infra.connection import Target
from infra.errors import ChatdbError


def come_back(stack: str, engine: engines.Engine) -> None:
    """Take over each product that the stack names, its state lacks and the server keeps for it."""
    from embedded import kept, settings

    found = deployment(stack, engine)
    lacking = kept.lacking(found, teardown.named(stack))
    standing = _standing(stack, lacking, engine) if lacking else []
    if not standing:
        return
    print(f"the data of {', '.join(one.name for one in standing)} was kept: taking it over again", file=sys.stderr)
    admin = administrator(stack, engine)
    server = {
        "host": admin.host,
        "port": str(admin.port),
        "username": admin.user,
        "database": admin.database,
        "sslmode": admin.sslmode,
        "superuser": "true" if server_of(stack) or setting(stack, "superuser") is True else "false",
    }
    name = settings.project_name(project())
    for one in standing:
        found = kept.taken_over(found, one, project=name, stack=stack, server=server)
    teardown.put_deployment(stack, engine, found)


def kept_products(stack: str, engine: engines.Engine) -> list[str]:
    """Return the products whose data the server keeps for a stack that is not up."""
    return [one.name for one in _standing(stack, teardown.named(stack), engine)]


def deployment(stack: str, engine: engines.Engine) -> dict[str, Any]:
    """Return the stack's deployment; one without resources where it was never up."""
    from embedded.settings import encryption_salt

    if engine == "pulumi" or has_state(stack):
        return teardown.deployment_of(stack, engine)
    salt = encryption_salt(project(), stack)
    secrets = {"secrets_providers": {"type": "passphrase", "state": {"salt": salt}}} if salt else {}
    return {"version": 3, "deployment": secrets}


def _standing(stack: str, names: list[str], engine: engines.Engine) -> list[Any]:
    """Return what stands of some products; nothing where the server cannot be asked, which the update says itself."""
    server = server_of(stack)
    if server is not None and not server.running():
        return []
    try:
        admin = administrator(stack, engine)
        found = [_kept(stack, name, admin) for name in names]
    except ChatdbError:
        return []
    return [one for one in found if one]


def _kept(stack: str, name: str, admin: Target) -> Any:
    """Return what stands of a product; None where nothing is kept."""
    from embedded import kept
    from infra import kept as on_server
    from infra import rotation

    product = products.load(name)
    names = names_in(stack, product)
    logins = {login.role: f"{name}-{login.label}" for login in rotation.logins(names, rotation.FIRST + 1)}
    there = on_server.roles(admin, database=product.database, owner=names.owner, logins=list(logins), stack=stack)
    resources = {names.owner: f"{name}-owner", **logins}
    roles = {resources[role]: role for role in there}
    return kept.Product(name, product.database, names.owner, roles) if roles else None
