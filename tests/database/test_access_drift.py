"""Every right that is not declared is named in words, and mended by the statement beside it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from infra.access import reading, sentences
from infra.access.declared import declare
from infra.access.drift import Drift
from infra.naming import role_names
from infra.products import Product
from tests.support.access_cases import AS, GRANTS, MEMBERSHIPS, MISSING, OWNERS
from tests.support.standing import Standing, run


def drift(connection: psycopg.Connection[Any], product: Product) -> tuple[Drift, ...]:
    """Return how a database parts from what is declared."""
    return reading.report(connection, product).drift


@pytest.mark.parametrize(("name", "statements", "expected"), [*GRANTS, *MEMBERSHIPS, *MISSING, *OWNERS])
def test_a_right_that_is_not_declared_is_named_and_mended(
    standing: Standing, name: str, statements: str, expected: tuple[str, ...]
) -> None:
    """Nothing before; these sentences after; nothing again once every mend was run."""
    with standing.trying(name) as (connection, product):
        assert drift(connection, product) == ()
        run(connection, statements)
        assert [one.sentence for one in drift(connection, product)] == list(expected)
        # A changed owner takes rights along: what is missing then is mended after it.
        for _ in range(2):
            for one in drift(connection, product):
                if one.mend:
                    run(connection, one.mend)
        assert drift(connection, product) == ()


def test_what_does_not_stand_is_told_and_made_by_an_update(standing: Standing) -> None:
    """A role or a table that is gone has no rights to give: `chatdb up` makes it anew."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "DROP TABLE public.chat_messages; DROP OWNED BY lyra_readonly; DROP ROLE lyra_readonly")
        said = {one.sentence: one.mend for one in drift(connection, product)}
        assert said == {
            "the role lyra_readonly does not stand, and it is declared": "chatdb up",
            "lyra_owner lacks SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN on"
            " public.chat_messages, which is declared: it does not stand": "chatdb up",
            "lyra_app lacks SELECT, INSERT on public.chat_messages, which is declared: it does not stand": "chatdb up",
        }


@pytest.mark.parametrize("name", ["futureguide", "lyra"])
def test_what_up_makes_is_what_is_declared(standing: Standing, name: str) -> None:
    """No drift, as superuser and as the migrator."""
    with standing.trying(name) as (connection, product):
        assert drift(connection, product) == ()
        names = role_names(product)
        run(connection, f"SET LOCAL SESSION AUTHORIZATION {names.migrator}; SET LOCAL ROLE {names.owner}")
        assert drift(connection, product) == ()


def test_the_applications_grants_to_its_own_roles_are_its_own_business(standing: Standing) -> None:
    """Rights on its tables are named only where they reach a role of ours, or everyone."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "CREATE ROLE website; GRANT ALL ON public.users TO website")
        run(connection, "CREATE FUNCTION public.hello() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        run(connection, "CREATE TABLE public.plans (id int); CREATE VIEW public.v AS SELECT 1 AS one")
        assert drift(connection, product) == ()
        run(connection, "GRANT DELETE ON public.users TO lyra_app; GRANT SELECT ON public.plans TO PUBLIC")
        assert [one.sentence for one in drift(connection, product)] == [
            f"PUBLIC has SELECT on public.plans, {AS}: granted by postgres",
            f"lyra_app has DELETE on public.users, {AS}: granted by lyra_owner",
        ]


def test_what_a_foreign_key_needs_of_the_application_is_no_drift(standing: Standing) -> None:
    """The right to point to its key, on the table or on the column alone; no other."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "CREATE ROLE website; ALTER TABLE public.users OWNER TO website")
        run(connection, "REVOKE ALL ON public.users FROM lyra_readonly")
        run(connection, "GRANT REFERENCES (id) ON public.users TO lyra_owner")
        assert drift(connection, product) == ()
        run(connection, "GRANT REFERENCES ON public.users TO lyra_owner")
        assert drift(connection, product) == ()
        run(connection, "GRANT UPDATE (id) ON public.users TO lyra_owner")
        assert [one.sentence for one in drift(connection, product)] == [
            f"lyra_owner has UPDATE on public.users.id, {AS}: granted by website"
        ]


def test_a_partition_is_the_tables(standing: Standing) -> None:
    """A stranger's right on a partition of ours is named; what the default privileges give a reader is not."""
    with standing.trying("futureguide") as (connection, product):
        run(
            connection,
            "CREATE ROLE guest; SET ROLE futureguide_owner;"
            "CREATE TABLE chat.archive (id int) PARTITION BY LIST (id);"
            "CREATE TABLE chat.archive_1 PARTITION OF chat.archive FOR VALUES IN (1);"
            "GRANT SELECT ON chat.archive_1 TO guest; RESET ROLE",
        )
        assert [one.sentence for one in drift(connection, product)] == [
            f"guest has SELECT on chat.archive_1, {AS}: granted by futureguide_owner"
        ]


def test_a_preview_says_what_changes_for_whom(standing: Standing) -> None:
    """What an update would set right, role by role, PUBLIC last; what it does not touch is not said."""
    with standing.trying("lyra") as (connection, product):
        run(
            connection,
            "GRANT TEMP ON DATABASE lyra TO PUBLIC; REVOKE ALL ON public.chat_messages FROM lyra_app;"
            "GRANT DELETE ON public.chat_messages TO lyra_readonly; CREATE ROLE guest;"
            "GRANT SELECT ON public.chat_messages TO guest; ALTER ROLE lyra_app NOLOGIN",
        )
        report = reading.report(connection, product)
        before = sentences.held(report.access)
        assert sentences.sentences(before, sentences.after_up(before, report.declared)) == [
            "lyra_app may log in",
            "lyra_app gains SELECT, INSERT on public.chat_messages",
            "lyra_readonly loses DELETE on public.chat_messages",
            "PUBLIC loses TEMP on lyra",
        ]


def test_a_right_that_public_has_all_the_same_is_said(standing: Standing) -> None:
    """Losing a grant of one's own loses nothing while PUBLIC has the right."""
    with standing.trying("lyra") as (connection, product):
        run(connection, "GRANT SELECT ON public.chat_messages TO PUBLIC")
        report = reading.report(connection, product)
        before = sentences.held(report.access)
        run(connection, "REVOKE SELECT ON public.chat_messages FROM lyra_app")
        after = sentences.held(reading.report(connection, product).access)
        loses = "lyra_app loses SELECT on public.chat_messages, which it keeps through PUBLIC"
        gains = "lyra_app gains SELECT on public.chat_messages, which it has through PUBLIC"
        assert sentences.sentences(before, after) == [loses]
        assert sentences.sentences(after, before) == [gains]


def test_a_product_to_be_made_says_all_that_its_roles_will_have(standing: Standing) -> None:
    """Where nothing stands, what is declared is what is gained."""
    with standing.trying("lyra") as (_, product):
        declared = declare(product, role_names(product), database="lyra", major=18)
        assert sentences.sentences({}, declared.rights) == [
            "lyra_app may log in",
            "lyra_app gains CONNECT on lyra",
            "lyra_app gains USAGE on schema public",
            "lyra_app gains SELECT, INSERT on public.chat_messages",
            "lyra_migrator may log in",
            "lyra_migrator becomes a member of lyra_owner (SET, INHERIT)",
            "lyra_owner gains everything on lyra",
            "lyra_owner gains everything on schema chatdb and schema public",
            "lyra_owner gains everything on public.chat_messages",
            "lyra_readonly may log in",
            "lyra_readonly gains CONNECT on lyra",
            "lyra_readonly gains SELECT on new tables of lyra_owner in public",
            "lyra_readonly gains USAGE on schema public",
            "lyra_readonly gains SELECT on public.chat_messages",
            "PUBLIC gains USAGE on schema public",
        ]
