"""A whole life as each kind of administrator on PostgreSQL 18: up, again, a product more, rotated, one less, gone.

The other majors: `tests/database/test_audit_majors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest

from embedded.server import ServerFile
from infra import naming, products
from infra.connection import Target, connect
from tests.support.postgres import make_managed_admin
from tests.support.project import Project
from tests.support.role_checks import check_roles, fill, logins, outputs
from tests.support.standing import Standing, brought_up

# All that there are, and one of each way of keeping people apart; the last is added later and removed.
LIVES = {
    "superuser": ("futureguide", "insights", "lyra", "storefront", "robotics"),
    "managed": ("futureguide", "lyra", "storefront"),
}


def carry(standing: Standing, names: tuple[str, ...]) -> str:
    """Have the stack carry these products, and return what the update says."""
    standing.project.succeed("config", "set", "--stack", standing.stack, "chatdb:products", json.dumps(names))
    return standing.up_again()


def enters(target: Target) -> bool:
    """Tell whether a login is let in with the password it has here."""
    try:
        psycopg.connect(**target.parameters()).close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return False
    return True


def standing_roles(server: ServerFile, name: str) -> list[str]:
    """Return the roles of a product that stand, and its database."""
    names = naming.role_names(products.load(name))
    with connect(server.target()) as connection:
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
            " UNION ALL SELECT datname FROM pg_database WHERE datname = %s ORDER BY 1",
            [[names.owner, *names.logins.values(), *names.seconds.values()], products.load(name).database],
        ).fetchall()
    return [row[0] for row in found]


def current(project: Project, server: ServerFile) -> Target:
    """Return the login that lyra's service is given now."""
    return logins(outputs(project), server, "lyra")["app"]


def nobody_is_locked_out_by_a_destroy_that_fails(standing: Standing, superuser: ServerFile) -> None:
    """Assert that a session which the administrator may not end is named, and its database stays open."""
    with connect(superuser.target("lyra").to(application_name="monitoring")) as watching:
        done = standing.project.chatdb("destroy", "--stack", standing.stack, "--yes")
        assert done.returncode == 1
        who = f"postgres in lyra: pid {watching.info.backend_pid}, monitoring"
        assert f"one session is connected and will be ended:\n  {who}" in done.stderr
        assert "cannot drop the database lyra: one session is connected" in done.stderr
        assert done.stderr.count(who) >= 2
        assert "HINT: Let them end, or as who may: SELECT pg_terminate_backend(" in done.stderr
        assert watching.execute("SELECT datallowconn FROM pg_database WHERE datname = 'lyra'").fetchone() == (True,)


@pytest.mark.parametrize("kind", ["superuser", "managed"])
def test_a_whole_life(kind: str, major_server: Callable[[int], ServerFile]) -> None:
    """Each step does what it says and no more; clients of the service never lose their way in."""
    superuser, names = major_server(18), LIVES[kind]
    administrator = superuser if kind == "superuser" else make_managed_admin(superuser)
    with brought_up(administrator, names=names[:-1]) as standing:
        project = standing.project
        assert standing.up_again().startswith("nothing to do: ")
        assert "updated" not in carry(standing, names).splitlines()[0]
        fill(superuser, names)
        check_roles(standing, superuser=superuser)

        first = current(project, superuser)
        with psycopg.connect(**first.parameters(), autocommit=True) as live:
            project.succeed("rotate", "--stack", standing.stack, "--yes")
            second = current(project, superuser)
            assert (first.user, second.user) == ("lyra_app", "lyra_app_b")
            assert live.execute("SELECT count(*) FROM chat_messages").fetchone() == (1,)
            assert (enters(first), enters(second)) == (True, True)
            check_roles(standing, superuser=superuser)
            assert standing.up_again().startswith("nothing to do: ")

            refused = project.chatdb("rotate", "--stack", standing.stack, "--yes")
            assert refused.returncode == 1
            assert refused.stderr.startswith("one session uses a password that this rotation makes invalid\nDETAIL: ")
            assert f"\n  lyra_app in lyra: pid {live.info.backend_pid}" in refused.stderr
            assert outputs(project)["rotation"] == 2

            project.succeed("rotate", "--stack", standing.stack, "--yes", "--even-if-used")
            third = current(project, superuser)
            assert live.execute("SELECT count(*) FROM chat_messages").fetchone() == (1,)
        assert third.user == "lyra_app"
        assert (enters(first), enters(second), enters(third)) == (False, True, True)

        carry(standing, names[:-1])
        assert standing_roles(superuser, names[-1]) == []
        assert standing.up_again().startswith("nothing to do: ")
        check_roles(standing, superuser=superuser)
        if kind == "managed":
            nobody_is_locked_out_by_a_destroy_that_fails(standing, superuser)
    assert [standing_roles(superuser, name) for name in names] == [[]] * len(names)
