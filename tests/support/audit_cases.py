"""How a fault is written down: what is done, which rule finds it, and on what."""

from __future__ import annotations

from typing import Any

import pytest


def fault(id_: str, statements: str, rule: str, found: str, *, product: str = "lyra") -> Any:
    """Return a case: what is done, which rule finds it, and on what."""
    return pytest.param(product, statements, rule, found, id=id_)


def guarded(id_: str, statements: str, rule: str, found: str) -> Any:
    """Return a case in the product with row security."""
    return fault(id_, statements, rule, found, product="futureguide")


def as_owner(statements: str) -> str:
    """Return statements that futureguide's owner runs."""
    return f"SET ROLE futureguide_owner; {statements}; RESET ROLE"
