"""Two users of futureguide, their sessions interleaved, directly and through a pooler: never a row of the other.

The number of cases is CHATDB_TENANT_CASES, 50 by default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.connection import Target, connect
from tests.support.standing import Standing
from tests.support.tenants import ENDS, IDENTITIES, OPERATIONS, TABLES, A, B, User, World

STEPS = st.tuples(
    st.sampled_from((A, B)),
    # Mostly as the service does it.
    st.sampled_from(("own", "own", "own", *IDENTITIES)),
    st.sampled_from(sorted(OPERATIONS)),
    st.sampled_from(TABLES),
    st.sampled_from(("", "", *ENDS)),
)
CASES = settings(
    max_examples=int(os.environ.get("CHATDB_TENANT_CASES", "50")),
    deadline=None,
    # The world is put back by each case itself.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def service(standing: Standing) -> Target:
    """The service's own login."""
    url = standing.project.succeed("url", "--product", "futureguide", "--role", "app").strip()
    facts = psycopg.conninfo.conninfo_to_dict(url)
    target = standing.server.target("fg_db")
    return target.to(user=str(facts["user"]), password=str(facts["password"]))


@pytest.fixture(params=["directly", "through a transaction pooler"])
def world(
    request: pytest.FixtureRequest, standing: Standing, service: Target, pooled: Callable[..., Target]
) -> Iterator[World]:
    """Both users with a session each; the pooler has two of its own, which they share."""
    way = service if request.param == "directly" else pooled(service, size=2)
    with (
        connect(standing.server.target("fg_db")) as eye,
        psycopg.connect(**way.parameters()) as one,
        psycopg.connect(**way.parameters()) as two,
    ):
        for session in (one, two):
            session.prepare_threshold = None
        yield World({A: User(A, one), B: User(B, two)}, eye)
        for session in (one, two):
            session.rollback()
        eye.execute("DELETE FROM auth.users")


@CASES
@given(steps=st.lists(STEPS, min_size=4, max_size=14))
def test_no_user_sees_or_changes_a_row_of_the_other(world: World, steps: list[tuple[object, ...]]) -> None:
    """Whatever each does, in which order, and however its transactions end."""
    world.reset()
    for step in steps:
        world.step(*step)  # type: ignore[arg-type]


def test_what_the_cases_try_is_tried_and_refused_as_it_must_be(world: World) -> None:
    """Each operation on each table, by each way to say who one is: the property is not kept by doing nothing."""
    for operation in OPERATIONS:
        for table in TABLES:
            world.reset()
            for identity in (*IDENTITIES, "own"):
                world.step(A, identity, operation, table, "commit")
    assert world.seen > 30
    assert set(world.refused) >= {
        *(
            f"{operation}: InsufficientPrivilege"
            for operation in ("insert", "insert for the other", "give away", "upsert")
        ),
        *(f"{operation}: InvalidTextRepresentation" for operation in ("select", "copy out", "update", "delete")),
        "insert into the other's conversation: ForeignKeyViolation",
        "upsert over the other's: InsufficientPrivilege",
        "copy in: FeatureNotSupported",
    }
    never = {f"{operation}: InsufficientPrivilege" for operation in ("select", "copy out", "update", "delete")}
    assert never.isdisjoint(world.refused)
