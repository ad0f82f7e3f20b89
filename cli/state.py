"""`chatdb stack …`: the state of a stack."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cli.context import project, stack_name
from cli.engines import stack_outputs
from infra.errors import RefusedError


def export(options: argparse.Namespace) -> None:
    """Print the deployment JSON."""
    from embedded import stackfile

    print(
        json.dumps(stackfile.export_stack(project(), stack_name(options), show_secrets=options.show_secrets), indent=4)
    )


def import_(options: argparse.Namespace) -> None:
    """Take over a deployment."""
    from embedded import stackfile

    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
        deployment = json.loads(text)
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"{options.file} cannot be imported",
            detail=f"{type(error).__name__}: {error}",
            hint="Give the file that `pulumi stack export` or `chatdb stack export` printed.",
        ) from None
    count = stackfile.import_stack(project(), stack_name(options), deployment)
    print(f"imported {count} resources into stack {stack_name(options)}")


def output(options: argparse.Namespace) -> None:
    """Print the outputs."""
    outputs = stack_outputs(stack_name(options), options, show_secrets=options.show_secrets)
    if options.json:
        print(json.dumps(outputs))
        return
    for name, value in outputs.items():
        print(f"{name}: {value if isinstance(value, str) else json.dumps(value, indent=2)}")
