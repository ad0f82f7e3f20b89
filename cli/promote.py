"""`chatdb promote`: show what one stack would take from another, ask, bring it up, verify.

Nothing is decided here: `infra.promotion` says what may pass, the program's gate asks it again, and the run itself is
that of `chatdb up`, with its lock and its resumption.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cli import engines, proof, returning, stacks
from cli import promotion_difference as difference
from cli.confirmation import ask
from cli.console import out
from cli.context import project, setting, structured_setting
from infra import products, promotion
from infra.errors import ChatdbError, RefusedError


def promote(options: argparse.Namespace) -> int:
    """Take to one stack what another has released."""
    stack: str = options.to
    source = _source(stack, options.source)
    names = _products(stack)
    outputs = engines.stack_outputs(source, options, show_secrets=True)
    passed = _judge(source, stack, names, outputs)
    proof.require(source, outputs, names)
    engine = stacks.begin(options, stack)
    returning.come_back(stack, engine)
    shown = difference.show(source, stack, passed, engine, options)
    if not shown["promoted"]:
        return _tell(options, shown, f"nothing to promote: stack {stack} has what {source} has released", 0)
    if not options.yes:
        ask(f"promote {source} to", stack)
        if _judge(source, stack, names, engines.stack_outputs(source, options, show_secrets=False)) != passed:
            raise RefusedError(
                "what would be promoted is no longer what was shown",
                detail=f"{source} has released something else, or the files here have changed, since the question",
                hint="Run it again, and read what it shows.",
            )
    code = _up(engine, stack, options)
    return code or _verify(source, stack, shown, options)


def _source(stack: str, named: str | None) -> str:
    """Return the stack to take from: the one that is named, or the one that the stack's `promoteFrom` names.

    Raises:
        UnknownNameError: one of the stacks has no file.
        ChatdbError: there is no source, or the stack takes from another one.
    """
    from embedded import settings

    settings.stack_file(project(), stack)
    gate = str(setting(stack, "promoteFrom") or "")
    source = named or gate.rpartition("/")[2]
    if not source or source == stack or (gate and gate.rpartition("/")[2] != source):
        raise RefusedError(
            f"stack {stack} takes from {f'stack {gate}' if gate else 'no stack'}"
            + (f", not from {source}" if source else ""),
            detail=f"chatdb:promoteFrom in Pulumi.{stack}.yaml is {gate or 'not set'}",
            hint=f"Name another stack with --from, or set it: chatdb config set --stack {stack} chatdb:promoteFrom dev",
        )
    settings.stack_file(project(), source)
    return source


def _products(stack: str) -> list[str]:
    """Return the products of a stack, as its file has them."""
    found = structured_setting(stack, "products")
    return products.names() if found is None else list(found)


def _judge(source: str, stack: str, names: Sequence[str], outputs: Mapping[str, Any]) -> list[promotion.Wanted]:
    """Return what the files would bring, where the source has released it or the stack's override lets it pass.

    Raises:
        NotReleasedError: it has not.
    """
    from infra.gate import wanted_of

    wanted = wanted_of([products.load(name).name for name in names])
    reasons = promotion.refusals(wanted, outputs.get("release"), source=source)
    if reasons and not setting(stack, "promotionOverride"):
        raise promotion.not_released(reasons, wanted, source=source, stack=stack)
    return wanted


def _up(engine: engines.Engine, stack: str, options: argparse.Namespace) -> int:
    """Bring the stack up and return the exit status.

    Raises:
        ChatdbError: it failed, was interrupted, or another run is going on.
    """
    try:
        if engine == "pulumi":
            arguments = ["up", "--stack", stack, "--yes", "--skip-preview"]
            return 1 if engines.run_pulumi(arguments, quiet=options.json).returncode else 0
        from cli.display import Display
        from embedded.engine import deployment

        with Display() as display:
            deployment.run("up", project=project(), stack=stack, report=display)
    except KeyboardInterrupt:
        raise ChatdbError(
            f"the promotion to stack {stack} was interrupted",
            detail="Ctrl-C was pressed.",
            hint="Run the same command again: it goes on where the state and the ledgers say.",
            state=f"What was committed stays; `chatdb status --stack {stack} --product NAME` shows it.",
        ) from None
    return 0


def _verify(source: str, stack: str, shown: dict[str, Any], options: argparse.Namespace) -> int:
    """Compare each product with its version, and say what there is now; 1 where one is not as it must be."""
    from cli import summary

    outputs = engines.stack_outputs(stack, options, show_secrets=True)
    reports = summary.verified(outputs, stack)
    for report in reports:
        if report.product in shown["products"]:
            shown["products"][report.product] |= {"verified": report.ok, "facts": len(report.checks)}
    code = 0 if all(report.ok for report in reports) else 1
    if options.json:
        return _tell(options, shown, "", code)
    summary.draw(stack, reports)
    return code or _tell(options, shown, f"\npromoted {source} to {stack}", 0)


def _tell(options: argparse.Namespace, shown: Mapping[str, Any], sentence: str, code: int) -> int:
    """Print the result, as a sentence or for a machine, and return the exit status."""
    if options.json:
        print(json.dumps(shown, ensure_ascii=False))
    else:
        out.print(sentence, markup=False)
    return code
