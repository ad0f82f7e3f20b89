"""Join the runner to a product: its preflight before the first migration, its verification after the last.

Called by the Pulumi resource and the command line, so that both check the same.
"""

from __future__ import annotations

from typing import Any

import psycopg

from infra import verification
from infra.migrations import preflight, snapshot
from infra.migrations.model import Plan
from infra.migrations.options import Hooks
from infra.products import Product


def product_hooks(product: Product, *, stand_ins: bool = False, adopt: bool = False) -> Hooks:
    """Return the hooks of a product.

    Args:
        product: The product.
        stand_ins: Whether missing prerequisite tables are made.
        adopt: Whether tables that stand already are taken over where their shape is a known version's.
    """

    def planned(plan: Plan) -> None:
        snapshot.load(product, plan.target)  # without it nobody could say afterwards whether it went well

    def before(connection: psycopg.Connection[Any], _plan: Plan) -> int | None:
        return preflight.prepare(connection, product, stand_ins=stand_ins, adopt=adopt)

    def verify(connection: psycopg.Connection[Any], version: int) -> None:
        verification.verify(connection, product, version).require()

    return Hooks(planned=planned, before=before, verify=verify)
