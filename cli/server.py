"""`chatdb server …` and `chatdb down`: the stack's embedded PostgreSQL."""

from __future__ import annotations

import argparse
import json

from cli.context import server_of, stack_name
from infra.errors import RefusedError


def start(options: argparse.Namespace) -> None:
    """Start the server, making it where there is none."""
    stack = stack_name(options)
    server = server_of(stack)
    if server is None:
        raise RefusedError(
            f"stack {stack} has no embedded server",
            detail=f"Pulumi.{stack}.yaml names no serverFile.",
            hint=f"Set it: chatdb config set --stack {stack} chatdb:serverFile .chatdb/{stack}/server/server.json",
        )
    found = server.start()
    facts = {"host": found.host, "port": found.port, "username": found.username}
    print(json.dumps(facts) if options.json else f"PostgreSQL runs on {found.host}:{found.port}")


def down(options: argparse.Namespace) -> None:
    """Stop the server and keep its data."""
    stack = stack_name(options)
    server = server_of(stack)
    if server is None or not server.running():
        print(f"the embedded server of stack {stack} is not running")
        return
    server.stop()
    print(f"stopped the embedded server of stack {stack}; its data is kept, `make up` starts it again")


def status(options: argparse.Namespace) -> None:
    """Say whether the server runs."""
    stack = stack_name(options)
    server = server_of(stack)
    running = server is not None and server.running()
    where = f"{server.read().host}:{server.read().port}" if server is not None and running else ""
    if options.json:
        print(json.dumps({"stack": stack, "running": running, "address": where}))
    elif running:
        print(f"the embedded server of stack {stack} runs on {where}")
    else:
        print(f"the embedded server of stack {stack} is not running")
