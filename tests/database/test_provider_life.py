"""The whole life of a product's resources by the embedded provider, on every supported PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from embedded.server import ServerFile
from infra.errors import ChatdbError
from tests.support.majors import MAJORS
from tests.support.postgres import make_managed_admin, unique
from tests.support.provider import (
    DATABASE,
    DEFAULT_PRIVILEGES,
    GRANT,
    GRANT_ROLE,
    ROLE,
    SCHEMA,
    config,
    make,
    now,
    provider_of,
    rows,
    statements,
)

Declared = list[tuple[str, dict[str, Any]]]


def product(name: str) -> Declared:
    """Return the resources of a product as the program declares them, in their order."""
    owner, migrator, app = (f"{name}_{kind}" for kind in ("owner", "migrator", "app"))
    inside = {"database": name, "role": app}
    return [
        (ROLE, {"name": owner, "login": False}),
        (ROLE, {"name": migrator, "login": True, "password": "s3cret"}),
        (ROLE, {"name": app, "login": True, "password": "s3cret", "searchPaths": ["chat"], "statementTimeout": 15000}),
        (GRANT_ROLE, {"role": migrator, "grantRole": owner}),
        (DATABASE, {"name": name, "owner": owner, "template": "template0", "encoding": "UTF8"}),
        (SCHEMA, {"name": "chat", "database": name, "owner": owner, "ifNotExists": True}),
        (GRANT, {"database": name, "role": "public", "objectType": "database", "privileges": []}),
        (GRANT, {**inside, "objectType": "database", "privileges": ["CONNECT"]}),
        (
            GRANT,
            {"database": name, "role": "public", "schema": "public", "objectType": "schema", "privileges": ["USAGE"]},
        ),
        (GRANT, {**inside, "schema": "chat", "objectType": "schema", "privileges": ["USAGE"]}),
        (
            DEFAULT_PRIVILEGES,
            {"database": name, "owner": owner, "role": "public", "objectType": "function", "privileges": []},
        ),
        (
            DEFAULT_PRIVILEGES,
            {**inside, "owner": owner, "schema": "chat", "objectType": "table", "privileges": ["SELECT"]},
        ),
    ]


@pytest.mark.parametrize("kind", ["superuser", "managed"])
@pytest.mark.parametrize("major", MAJORS)
def test_a_product_is_made_read_mended_and_removed(
    major_server: Callable[[int], ServerFile], major: int, kind: str
) -> None:
    """What is made reads as it was declared; a second create finishes what stands; nothing is left at the end."""
    superuser = major_server(major)
    administrator = superuser if kind == "superuser" else make_managed_admin(superuser)
    name = unique("life")
    declared = product(name)
    if major == 14 and kind == "managed":
        # Before PostgreSQL 15 the schema `public` belongs to the server's superuser: nobody else revokes there.
        declared = [(type_, inputs) for type_, inputs in declared if inputs.get("schema") != "public"]
    with provider_of(administrator) as provider:
        for type_, inputs in declared:
            make(provider, type_, **inputs)
        for type_, inputs in declared:
            assert now(provider, type_, **inputs) == inputs
        statements(superuser.target(name), f"GRANT CREATE ON SCHEMA chat, public TO PUBLIC, {name}_app")
        for type_, inputs in declared:
            provider.create(type_, inputs, resumed=True)
        for type_, inputs in declared:
            assert now(provider, type_, **inputs) == inputs

        migrator = superuser.target(name).to(user=f"{name}_migrator", password="s3cret", role=f"{name}_owner")
        statements(migrator, "CREATE TABLE chat.messages (id int)")
        app = superuser.target(name).to(user=f"{name}_app", password="s3cret")
        assert rows(app, "SELECT count(*) FROM messages") == [(0,)]

        removed = [(DATABASE, declared[4][1]), *((type_, inputs) for type_, inputs in reversed(declared[:4]))]
        for type_, inputs in removed:
            provider.delete(type_, "", inputs, {})
        assert [now(provider, type_, **inputs) for type_, inputs in declared] == [None] * len(declared)
    left = "SELECT rolname FROM pg_roles WHERE rolname LIKE %s UNION SELECT datname FROM pg_database WHERE datname = %s"
    assert rows(superuser.target(), left, f"{name}\\_%", name) == []


def test_two_runs_at_once_make_everything(server: ServerFile) -> None:
    """Two providers grant on one object at the same time; where they meet in the catalogue, one tries again."""
    name = unique("many")
    failures: list[ChatdbError] = []
    with provider_of(server) as provider, provider_of(server) as other:
        make(provider, DATABASE, name=name)
        roles = [make(provider, ROLE, name=f"{name}_{number}")[0] for number in range(12)]

        def grant(through: Any) -> None:
            try:
                for role in roles:
                    make(through, GRANT, database=name, role=role, objectType="database", privileges=["CONNECT"])
            except ChatdbError as error:
                failures.append(error)

        threads = [threading.Thread(target=grant, args=[through]) for through in (provider, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        query = "SELECT count(*) FROM pg_roles WHERE rolname LIKE %s AND has_database_privilege(oid, %s, 'CONNECT')"
        assert rows(server.target(), query, f"{name}\\_%", name) == [(12,)]
        provider.delete(DATABASE, name, {"name": name}, {})


def test_a_run_killed_in_any_create_is_finished_by_the_next(server: ServerFile) -> None:
    """A process that makes a product is killed after each resource in turn; creating again gives what was declared."""
    script = """
import json, os, signal, sys
from embedded.engine.postgresql import PostgresqlProvider
config, declared, stop = json.load(sys.stdin)
provider = PostgresqlProvider(config)
for type_, inputs in declared[:stop]:
    provider.create(type_, inputs)
os.kill(os.getpid(), signal.SIGKILL)
"""
    import json

    for stop in (1, 5, 9):
        name = unique("killed")
        declared = product(name)
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps([config(server), declared, stop]),
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert done.returncode == -signal.SIGKILL
        with provider_of(server) as provider:
            for type_, inputs in declared[stop - 1 :]:
                provider.create(type_, inputs, resumed=True)
            assert [now(provider, type_, **inputs) for type_, inputs in declared] == [inputs for _, inputs in declared]
            provider.delete(DATABASE, name, {"name": name}, {})
