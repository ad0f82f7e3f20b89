"""Find who looks at a database as a whole: the stack's administrator where this machine knows it, else the migrator.

For `chatdb access` and `chatdb audit`: the catalogue is open to all, but who has which password is for superusers.
"""

from __future__ import annotations

import argparse

from cli.context import server_of, stack_name
from cli.direct import direct
from cli.targets import resolve
from infra.connection import Target


def as_administrator(options: argparse.Namespace, product: str) -> Target:
    """Return a product's database as the administrator of the stack's embedded server; else as `resolve` does."""
    target = resolve(options, product)
    if direct(options) is not None:
        return target
    server = server_of(stack_name(options))
    return target if server is None else server.read().target(target.database)
