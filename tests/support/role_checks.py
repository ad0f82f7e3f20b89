"""Run the case table of `role_cases` over the logins of a stack that is up.

Called by the tests of whole lives on every major.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import psycopg

from embedded.server import ServerFile
from infra import products
from infra.connection import Target, connect
from infra.naming import RoleNames
from tests.support.project import Project
from tests.support.role_cases import OF_ALL, OF_MIGRATOR, PARENTS, ROLES, USER, Case, cases
from tests.support.standing import Standing


def fill(superuser: ServerFile, names: Iterable[str]) -> None:
    """Make the rows that the statements meet."""
    for name in names:
        with connect(superuser.target(products.load(name).database)) as connection:
            connection.execute(PARENTS[name].encode())


def outputs(project: Project, stack: str = "dev") -> dict[str, Any]:
    """Return the stack's outputs, secrets in plain."""
    found: dict[str, Any] = json.loads(project.succeed("stack", "output", "--stack", stack, "--json", "--show-secrets"))
    return found


def logins(found: dict[str, Any], superuser: ServerFile, name: str) -> dict[str, Target]:
    """Return the logins of a product as the outputs give them to clients, by what they are for."""
    return {
        kind: superuser.target(products.load(name).database).to(user=login["user"], password=login["password"])
        for kind, login in found["connections"][name].items()
    }


def check_roles(standing: Standing, *, superuser: ServerFile | None = None) -> None:
    """Assert that each login that clients are given may what it may and no more, in every product of the stack."""
    found = outputs(standing.project, standing.stack)
    for name in found["products"]:
        names = RoleNames(**found["products"][name]["roles"])
        assert wrong(logins(found, superuser or standing.server, name), name, names) == []


def every_case(name: str) -> tuple[Case, ...]:
    """Return the cases of a product, those that every product has included."""
    kinds = dict.fromkeys(case.role for case in ROLES[name])
    return (
        *ROLES[name],
        *(case for kind in kinds for case in cases(kind, *OF_ALL)),
        *cases("migrator", *OF_MIGRATOR),
    )


def wrong(reached: dict[str, Target], name: str, names: RoleNames) -> list[tuple[str, str, str, str]]:
    """Return each case that does not end as it should: login, statement, what was expected, what came.

    Args:
        reached: The logins by what they are for.
        name: The product.
        names: Its roles.
    """
    product = products.load(name)
    table = f"{product.schema}.{product.tables[0]}"
    said = {
        "schema": product.schema,
        "table": table,
        "owner": names.owner,
        "migrator": names.migrator,
        "app": names.app,
    }
    found = []
    for kind, target in reached.items():
        with connect(target) as connection:
            for case in every_case(name):
                if case.role != kind:
                    continue
                statement = case.statement.format(**said)
                came = _sqlstate(connection, statement)
                if came != case.sqlstate:
                    found.append((target.user, statement, case.sqlstate, came))
    return found


def _sqlstate(connection: psycopg.Connection[Any], statement: str) -> str:
    """Return the SQLSTATE that a statement ends with, empty where it succeeds; it is undone."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('app.current_user_id', %s, true)", [USER])
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "lost"
    return ""
