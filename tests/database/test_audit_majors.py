"""What `up` makes on PostgreSQL 14 to 18, for both administrators: access, audit, and what each role may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from embedded.server import ServerFile
from infra import effective_access, products
from infra.audit import runner
from infra.audit.rules import RULES
from infra.connection import connect
from tests.support import access_cases, audit_cases_rights, audit_cases_roles, audit_cases_rows
from tests.support.postgres import make_managed_admin
from tests.support.role_checks import check_roles, fill
from tests.support.standing import PRODUCTS, Standing, brought_up, run

BY_ID = {rule.id: rule for rule in RULES}
FAULTS = [
    *(*audit_cases_roles.OWNERSHIP, *audit_cases_roles.ATTRIBUTES, *audit_cases_rights.PUBLIC),
    *(*audit_cases_rights.PRIVILEGES, *audit_cases_rows.ROW_SECURITY, *audit_cases_rows.FUNCTIONS),
]
DRIFT = [*access_cases.GRANTS, *access_cases.MEMBERSHIPS, *access_cases.OWNERS]

# In 14 the schema public is the first superuser's, who grants in it.
PUBLIC_IS_THE_OWNERS_SINCE = 15
# Before, a membership has no options and its REVOKE no grantor; rights on parameters and security_invoker came with 15.
OPTIONS_SINCE = 16


def as_said_on(major: int, sentences: Iterable[str]) -> list[str]:
    """Return the expected sentences with the grantor that a major names."""
    if major >= PUBLIC_IS_THE_OWNERS_SINCE:
        return list(sentences)
    return [sentence.replace("granted by pg_database_owner", "granted by postgres") for sentence in sentences]


def is_known(statements: str, rule: str, major: int) -> bool:
    """Tell whether a major has what a case asks for."""
    if "ON PARAMETER" in statements or "security_invoker" in statements or (rule and BY_ID[rule].since > major):
        return major >= 15
    return " WITH INHERIT" not in statements or major >= OPTIONS_SINCE


def check_faults(standing: Standing, major: int) -> None:
    """Assert that every fault the major knows is found by its rule."""
    for case in FAULTS:
        name, statements, rule, expected = case.values
        if not is_known(statements, rule, major):
            continue
        with standing.trying(name) as (connection, product):
            run(connection, statements)
            report = runner.audit(connection, product, rules=[BY_ID[rule]])
            assert (case.id, expected in [one.object for one in report.findings]) == (case.id, True)
            for one in report.findings:
                if not one.mend.startswith("--"):
                    run(connection, one.mend)
            left = runner.audit(connection, product, rules=[BY_ID[rule]])
            assert (case.id, [one.object for one in left.findings if not one.mend.startswith("--")]) == (case.id, [])


def check_drift(standing: Standing, major: int) -> None:
    """Assert that every drift the major knows is said in the same words and mended, owners of `public` aside."""
    for case in DRIFT:
        name, statements, expected = case.values
        if not is_known(statements, "", major):
            continue
        with standing.trying(name) as (connection, product):
            run(connection, statements)
            said = [one.sentence for one in effective_access.report(connection, product).drift]
            assert (case.id, said) == (case.id, as_said_on(major, expected))
            for _ in range(2):
                for one in effective_access.report(connection, product).drift:
                    if one.mend:
                        run(connection, one.mend)
            assert (case.id, effective_access.report(connection, product).drift) == (case.id, ())


@pytest.mark.parametrize("major", [14, 15, 16, 17])
def test_what_a_superuser_makes_holds_and_its_faults_are_found(
    major: int, major_server: Callable[[int], ServerFile]
) -> None:
    """No drift, no finding, each role may what it may and no more, rotated too; and every fault the major knows."""
    names = tuple(products.names())
    with brought_up(major_server(major), names=names) as standing:
        for name in names:
            with standing.trying(name) as (connection, product):
                assert effective_access.report(connection, product).drift == ()
                report = runner.audit(connection, product)
                assert [finding.as_dict() for finding in report.findings] == []
                absent = {one.rule.id for one in report.unchecked}
                assert absent == {rule.id for rule in RULES if rule.since > major}
        check_faults(standing, major)
        check_drift(standing, major)
        fill(standing.server, names)
        check_roles(standing)
        standing.project.succeed("rotate", "--stack", standing.stack, "--yes")
        check_roles(standing)
        for name in names:
            with standing.trying(name) as (connection, product):
                assert effective_access.report(connection, product, rotation=2).drift == ()
                assert [one.as_dict() for one in runner.audit(connection, product).findings] == []
        assert standing.up_again().startswith("nothing to do: ")


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_what_a_managed_administrator_makes_holds(major: int, major_server: Callable[[int], ServerFile]) -> None:
    """Its memberships are how such a server works: they are no drift and no finding."""
    with brought_up(make_managed_admin(major_server(major)), names=PRODUCTS) as standing:
        for name in PRODUCTS:
            with standing.trying(name) as (connection, product):
                assert effective_access.report(connection, product).drift == ()
                assert [one.as_dict() for one in runner.audit(connection, product).findings] == []
        assert standing.up_again().startswith("nothing to do: ")


def test_before_15_a_managed_administrator_is_told_who_must_close_the_schema_public(
    major_server: Callable[[int], ServerFile],
) -> None:
    """It may not: each update says what is open, why, and what to run as whom; after that nothing is left."""
    superuser = major_server(14)
    managed = make_managed_admin(superuser)
    mend = "ALTER SCHEMA public OWNER TO lyra_owner"
    with brought_up(managed, names=("lyra",)) as standing:
        done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
        assert (done.returncode, done.stdout.startswith("nothing to do: ")) == (0, True)
        said = next(line for line in done.stderr.splitlines() if "which is not declared" in line)
        assert said == (
            "lyra: PUBLIC has CREATE on schema public, which is not declared: granted by postgres (no privileges could"
            ' be revoked for "public": schema public belongs to postgres, as the schema public of every database does'
            f" before PostgreSQL 15, and {managed.username} may not act as postgres; run {mend} in lyra as postgres or"
            " a superuser, then refresh the stack); mend: REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        )
        preview = standing.project.chatdb("preview", "--stack", standing.stack)
        assert said in preview.stderr
        with standing.trying("lyra") as (connection, product):
            found = [one.rule.id for one in runner.audit(connection, product).findings]
            assert "public-creates-in-schema" in found
        with connect(superuser.target("lyra")) as connection:
            run(connection, mend)
        standing.project.succeed("refresh", "--stack", standing.stack, "--yes")
        done = standing.project.chatdb("up", "--stack", standing.stack, "--yes")
        assert "which is not declared" not in done.stderr
        with standing.trying("lyra") as (connection, product):
            assert effective_access.report(connection, product).drift == ()
            assert [one.as_dict() for one in runner.audit(connection, product).findings] == []
