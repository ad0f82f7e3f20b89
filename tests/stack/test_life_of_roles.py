"""A whole life as each kind of administrator on PostgreSQL 14 to 18: up, again, one more, rotated, one less, gone.

In the managed ones lyra's roles have names of their own. The superuser's also meet every fault and drift that the major
knows; on 18 those are tests of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import psycopg
import pytest

from embedded.server import ServerFile
from infra import naming, products
from infra.access import reading
from infra.audit import runner
from infra.audit.rules import RULES
from infra.connection import Target, connect
from infra.naming import RoleNames
from tests.support.audit_checks import PUBLIC_IS_THE_OWNERS_SINCE, check_drift, check_faults
from tests.support.majors import MAJORS
from tests.support.postgres import make_managed_admin
from tests.support.project import Project
from tests.support.role_checks import check_roles, fill, logins, outputs
from tests.support.standing import Standing, brought_up, run

# All that there are; the last is added later and removed.
NAMES = ("futureguide", "insights", "lyra", "storefront", "robotics")
LYRA = {"lyra": {"owner": "chat_owner", "migrator": "ddl", "app": "lyra_service", "readonly": "lookers"}}


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


def roles_of(name: str, given: Mapping[str, Mapping[str, str]]) -> RoleNames:
    """Return a product's roles as the stack names them."""
    return naming.role_names(products.load(name), given.get(name))


def standing_roles(server: ServerFile, name: str, names: RoleNames) -> list[str]:
    """Return the roles of a product that stand, and its database."""
    with connect(server.target()) as connection:
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
            " UNION ALL SELECT datname FROM pg_database WHERE datname = %s ORDER BY 1",
            [[*names.by_kind.values(), *names.seconds.values()], products.load(name).database],
        ).fetchall()
    return [row[0] for row in found]


def current(project: Project, server: ServerFile) -> Target:
    """Return the login that lyra's service is given now."""
    return logins(outputs(project), server, "lyra")["app"]


def all_is_as_declared(standing: Standing, superuser: ServerFile, given: Mapping[str, Mapping[str, str]]) -> None:
    """Assert that nobody may more or less than is declared, and that the security baseline holds."""
    found = outputs(standing.project)
    for name in found["products"]:
        product, names = products.load(name), roles_of(name, given)
        assert found["products"][name]["roles"] == names.by_kind
        with connect(superuser.target(product.database)) as connection:
            rotation = found["rotation"]
            assert reading.report(connection, product, names=names, rotation=rotation).drift == ()
            report = runner.audit(connection, product, names=names)
            assert [finding.as_dict() for finding in report.findings] == []
            major = connection.info.server_version // 10_000
            assert {one.rule.id for one in report.unchecked} == {rule.id for rule in RULES if rule.since > major}
            told = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [names.migrator]).fetchone()
            # A superuser's to set; a managed administrator, who names roles here, leaves it.
            assert told is not None
            assert ("wal_compression=on" in told[0]) is not bool(given)


def every_membership_is_a_property_of_its_role(standing: Standing) -> None:
    """Assert it: the plugin's update of a role revokes all that are not, whatever other resource grants them."""
    resources = standing.project.state(standing.stack)["deployment"]["resources"]
    inputs = [(one["type"].rpartition(":")[2], one.get("inputs", {})) for one in resources]
    listed = {one["name"]: one.get("roles", []) for kind, one in inputs if kind == "Role"}
    granted = [(one["role"], one["grantRole"]) for kind, one in inputs if kind == "GrantRole" and one["role"] in listed]
    assert granted
    assert [pair for pair in granted if pair[1] not in listed[pair[0]]] == []


def who_must_close_the_schema_public_is_said(standing: Standing, superuser: ServerFile) -> None:
    """Assert that each update says once what is open before 15, why, and what to run as whom, and that this mends it.

    A refresh takes what stands there into the state, once, and has no update try in vain.
    """
    user = json.loads((standing.project.folder / "server.json").read_text())["username"]
    mend = "GRANT CREATE ON SCHEMA public TO {owner}; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    refresh = ("refresh", "--stack", standing.stack, "--yes")
    assert " updated; " in standing.project.succeed(*refresh)
    assert standing.project.succeed(*refresh).startswith("nothing to do: ")
    done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
    assert (done.returncode, done.stdout.startswith("nothing to do: ")) == (0, True)
    said = [line for line in done.stderr.splitlines() if line.startswith("lyra: ")]
    assert said == [
        "lyra: PUBLIC has CREATE on schema public, which is not declared: granted by postgres (no privileges were"
        ' granted for "public": schema public belongs to postgres, as the schema public of every database does'
        f" before PostgreSQL 15, and {user} may not act as postgres; run the mend in lyra as postgres or"
        f" a superuser); mend: {mend.format(owner='chat_owner')}"
    ]
    assert said[0] in standing.project.chatdb("preview", "--stack", standing.stack).stderr
    report = json.loads(standing.project.chatdb("access", "--json").stdout)
    assert {one["sentence"] for product in report for one in product["drift"]} == {
        "PUBLIC has CREATE on schema public, which is not declared: granted by postgres"
    }
    found = json.loads(standing.project.chatdb("audit", "--json").stdout)["findings"]
    # futureguide's tables are in a schema of their own: its owner needs nothing in this one.
    assert {one["mend"] for one in found} == {one["mend"] for product in report for one in product["drift"]}
    for product in report:
        with connect(superuser.target(product["database"])) as connection:
            run(connection, product["drift"][0]["mend"])
    done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
    assert (done.returncode, "not declared" in done.stderr, "public-creates" in done.stderr) == (0, False, False)
    assert standing.up_again().startswith("nothing to do: ")


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


def is_rotated_without_downtime(standing: Standing, superuser: ServerFile, base: str) -> None:
    """Rotate twice and assert that clients of the service never lose their way in; the session that is there lives on.

    Args:
        standing: The stack.
        superuser: Its server.
        base: The first login of lyra's service.
    """
    project, rotate = standing.project, ("rotate", "--stack", standing.stack, "--yes")
    first = current(project, superuser)
    with psycopg.connect(**first.parameters(), autocommit=True) as live:
        project.succeed(*rotate)
        second = current(project, superuser)
        assert (first.user, second.user) == (base, f"{base}_b")
        assert live.execute("SELECT count(*) FROM chat_messages").fetchone() == (1,)
        assert (enters(first), enters(second)) == (True, True)
        check_roles(standing, superuser=superuser)
        assert standing.up_again().startswith("nothing to do: ")

        refused = project.chatdb(*rotate)
        assert refused.returncode == 1
        assert refused.stderr.startswith("one session uses a password that this rotation makes invalid\nDETAIL: ")
        assert f"\n  {base} in lyra: pid {live.info.backend_pid}" in refused.stderr
        assert outputs(project)["rotation"] == 2

        project.succeed(*rotate, "--even-if-used")
        third = current(project, superuser)
        assert live.execute("SELECT count(*) FROM chat_messages").fetchone() == (1,)
    assert third.user == base
    assert (enters(first), enters(second), enters(third)) == (False, True, True)


def one_leaves_whoever_is_connected(standing: Standing, superuser: ServerFile, names: tuple[str, ...]) -> None:
    """Take the last product out of the stack while its service is connected, and assert that this is said."""
    client = logins(outputs(standing.project), superuser, names[-1])["app"]
    standing.project.succeed("config", "set", "--stack", standing.stack, "chatdb:products", json.dumps(names[:-1]))
    with connect(client) as live:
        done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
        who = f"{client.user} in {client.database}: pid {live.info.backend_pid}, "
    assert done.returncode == 0, done.stderr
    assert f"one session is connected and will be ended:\n  {who}" in done.stderr


def a_login_that_somebody_closed_is_not_opened_in_silence(standing: Standing, superuser: ServerFile, app: str) -> None:
    """Assert that a preview says what an update will do about it, the update what it did, and a later one nothing."""
    with connect(superuser.target()) as connection:
        run(connection, f"ALTER ROLE {app} NOLOGIN")
    preview = standing.project.chatdb("preview", "--stack", standing.stack)
    assert f"{app} may log in" in preview.stdout + preview.stderr
    done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
    assert f"lyra: put right: {app} is not LOGIN, which is declared" in done.stderr
    done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
    assert (done.stdout.startswith("nothing to do: "), "put right" in done.stderr) == (True, False)


@pytest.mark.parametrize("kind", ["superuser", "managed"])
@pytest.mark.parametrize("major", MAJORS)
def test_a_whole_life(major: int, kind: str, major_server: Callable[[int], ServerFile]) -> None:
    """Each step does what it says and no more; clients of the service never lose their way in."""
    superuser, managed = major_server(major), kind == "managed"
    administrator = make_managed_admin(superuser) if managed else superuser
    given = LYRA if managed else {}
    with brought_up(administrator, names=NAMES[:-1], roleNames=given) as standing:
        assert standing.up_again().startswith("nothing to do: ")
        assert "updated" not in carry(standing, NAMES).splitlines()[0]
        if managed and major < PUBLIC_IS_THE_OWNERS_SINCE:
            who_must_close_the_schema_public_is_said(standing, superuser)
        all_is_as_declared(standing, superuser, given)
        if not managed and major < 18:
            check_faults(standing, major)
            check_drift(standing, major)
        fill(superuser, NAMES)
        check_roles(standing, superuser=superuser)
        is_rotated_without_downtime(standing, superuser, roles_of("lyra", given).app)
        every_membership_is_a_property_of_its_role(standing)

        one_leaves_whoever_is_connected(standing, superuser, NAMES)
        assert standing_roles(superuser, NAMES[-1], roles_of(NAMES[-1], given)) == []
        all_is_as_declared(standing, superuser, given)
        if major == 18:
            a_login_that_somebody_closed_is_not_opened_in_silence(standing, superuser, roles_of("lyra", given).app)
        if managed:
            nobody_is_locked_out_by_a_destroy_that_fails(standing, superuser)
    assert [standing_roles(superuser, name, roles_of(name, given)) for name in NAMES] == [[]] * len(NAMES)
