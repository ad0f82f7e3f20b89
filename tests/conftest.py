"""Fixtures of every test that needs PostgreSQL: a server per worker, a database per test."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from embedded.engine.postgresql import PostgresqlProvider
from embedded.server import ServerFile
from infra.connection import Target
from tests.support import aws, majors, pgbouncer, postgres
from tests.support.provider import provider_of
from tests.support.rds import Rds, running_rds
from tests.support.tls import TlsServer, speaking_tls

# The one module whose tests know nothing of each other and are long.
SPREAD = "tests/stack/test_life_of_roles.py"


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell started the tests in its background: what they start would be deaf to it too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps a module's tests on one worker, in their order, but for what stands on its own and takes a minute each."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SPREAD) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Spread the tests over the workers."""
    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole runs: they take longest, and at the end they would run alone."""
    items.sort(key=lambda item: (not item.nodeid.startswith(SPREAD), not item.nodeid.startswith("tests/stack/")))


@pytest.fixture(scope="session")
def server() -> Iterator[ServerFile]:
    """PostgreSQL 18, one server for all tests of a worker, as its superuser."""
    with postgres.running_server() as running:
        yield running


@pytest.fixture(scope="session")
def tls_server() -> Iterator[TlsServer]:
    """A server of major 17 that takes logins over TLS alone; the embedded 18 is built without TLS."""
    try:
        folder = majors.bin_folder(17)
    except majors.NotToBeHad as reason:
        pytest.skip(f"a server with TLS is needed: {reason}")
    with postgres.running_server(folder) as running, speaking_tls(running) as speaking:
        yield speaking


@pytest.fixture(scope="session")
def cloud() -> Iterator[aws.Aws]:
    """AWS by moto's server, one for all tests of a worker."""
    with aws.running_aws() as running:
        yield running


@pytest.fixture(scope="session")
def rds() -> Iterator[Rds]:
    """A server as RDS gives it: TLS alone, and IAM tokens of the account that `cloud` is."""
    with postgres.running_server() as behind, running_rds(behind, aws.SECRET_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def managed_admin(server: ServerFile) -> ServerFile:
    """The same server as managed hosts give it: an administrator with CREATEROLE and CREATEDB, no superuser."""
    return postgres.make_managed_admin(server)


@pytest.fixture(scope="session")
def major_server() -> Iterator[Callable[[int], ServerFile]]:
    """Give a server of a major 14 to 18; the test is skipped, with the reason, where it cannot be had."""
    with contextlib.ExitStack() as stack:
        started: dict[int, ServerFile] = {}

        def give(major: int) -> ServerFile:
            if major not in started:
                try:
                    folder = majors.bin_folder(major)
                except majors.NotToBeHad as reason:
                    pytest.skip(str(reason))
                started[major] = stack.enter_context(postgres.running_server(folder))
            return started[major]

        yield give


@pytest.fixture
def database(server: ServerFile) -> Iterator[Target]:
    """A fresh, empty database, as superuser."""
    with postgres.fresh_database(server) as target:
        yield target


@pytest.fixture
def product_database(server: ServerFile) -> Iterator[Callable[..., Target]]:
    """Give a fresh database of a product, as its owner: `product_database("lyra", stand_ins=True)`."""
    with contextlib.ExitStack() as stack:

        def give(name: str, *, stand_ins: bool = True, on: ServerFile | None = None) -> Target:
            return stack.enter_context(postgres.product_database(on or server, name, stand_ins=stand_ins))

        yield give


@pytest.fixture
def pooled() -> Iterator[Callable[..., Target]]:
    """Give a database through PgBouncer: `pooled(database, mode="session")`; skipped, with the reason, without one."""
    with contextlib.ExitStack() as stack:

        def give(target: Target, **options: Any) -> Target:
            try:
                return stack.enter_context(pgbouncer.pooler(target, **options))
            except majors.NotToBeHad as reason:
                pytest.skip(str(reason))

        yield give


@pytest.fixture(params=["superuser", "managed"])
def administrator(request: pytest.FixtureRequest, server: ServerFile, managed_admin: ServerFile) -> ServerFile:
    """Each kind of administrator in turn."""
    return server if request.param == "superuser" else managed_admin


@pytest.fixture
def provider(administrator: ServerFile) -> Iterator[PostgresqlProvider]:
    """The embedded postgresql provider as each kind of administrator."""
    with provider_of(administrator) as made:
        yield made
