"""What bad input gets: what happened, why, what to do; nothing half done, exit status 1, no traceback.

Each case runs `chatdb up` as a user would. Where the Pulumi CLI is on PATH, `test_official_cli` runs such a case there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import Any

import pytest
from psycopg import sql

from embedded.server import ServerFile
from infra import naming, products
from infra.connection import connect
from tests.support.project import Project


def is_clean_error(done: CompletedProcess[str], *, password: str = "") -> bool:
    """Tell whether a failed run says it in our form: a hint, exit status 1, no traceback, no password."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "HINT: " in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not password or password not in done.stdout + done.stderr
    return True


def own(server: ServerFile, **changes: Any) -> dict[str, Any]:
    """Return settings of a stack on a server of one's own, with one product; the password is set apart."""
    return {
        "products": ["lyra"],
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "superuser": True,
        "sslMode": "disable",
        "onDestroy": "drop",
        **changes,
    }


def write(project: Project, server: ServerFile, *, stack: str = "own", **changes: Any) -> None:
    """Write a stack on the server, its password encrypted."""
    password = changes.pop("password", server.password)
    project.write_stack(stack, own(server, **changes))
    done = project.chatdb("config", "set", "--stack", stack, "--secret", "chatdb:password", typed=f"{password}\n")
    assert done.returncode == 0, done.stderr


@contextmanager
def gone_afterwards(project: Project, stack: str = "own") -> Iterator[None]:
    """Destroy the stack at the end of the block, whatever became of it."""
    try:
        yield
    finally:
        done = project.chatdb("destroy", "--stack", stack, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(
            ("url", "--product", "lyraa"),
            "there is no product",
            id="unknown product",
        ),
        pytest.param(("up", "--stack", "devv", "--yes"), "there is no stack named 'devv'", id="unknown stack"),
        pytest.param(("upp",), "there is no command 'upp'", id="unknown command"),
        pytest.param(("up", "--stak", "dev"), "unrecognized arguments: --stak dev", id="unknown option"),
        pytest.param(
            ("up", "--engine", "pulumi", "--yes"), "the Pulumi CLI is not on PATH", id="engine that is not there"
        ),
        pytest.param(("prevew", "--stack", "dev"), "Did you mean preview?", id="misspelt command"),
    ],
)
def test_a_name_that_does_not_exist_is_named(project: Project, arguments: tuple[str, ...], expected: str) -> None:
    """With what there is instead."""
    done = project.chatdb(*arguments, PATH="/usr/bin:/bin")
    assert is_clean_error(done)
    assert expected in done.stderr


def test_every_mistake_in_a_stack_file_is_reported_before_anything_is_done(project: Project) -> None:
    """Unknown key, unknown product and a missing server come in one message."""
    project.write_stack("bad", {"prot": 5432, "products": ["lyraa"], "sslMode": "none"})
    done = project.chatdb("up", "--stack", "bad", "--yes")
    assert is_clean_error(done)
    assert "the settings of stack bad have 6 mistakes" in done.stderr
    for key in ("prot", "products", "sslMode", "host", "username", "password"):
        assert f"chatdb:{key}: " in done.stderr


def test_a_plain_password_in_a_stack_file_is_refused(project: Project, own_server: ServerFile) -> None:
    """And is not repeated."""
    project.write_stack("plain", own(own_server, password=own_server.password))
    done = project.chatdb("up", "--stack", "plain", "--yes")
    assert is_clean_error(done, password=own_server.password)
    assert "chatdb:password: stands in plain text" in done.stderr


def test_a_stack_file_that_is_no_yaml_is_named(project: Project) -> None:
    """With the line."""
    (project.folder / "Pulumi.broken.yaml").write_text("config:\n  chatdb:host: [\n")
    done = project.chatdb("up", "--stack", "broken", "--yes")
    assert is_clean_error(done)
    assert "Pulumi.broken.yaml is not valid YAML" in done.stderr


def test_a_wrong_password_is_said_without_showing_it(project: Project, own_server: ServerFile) -> None:
    """The server refuses the login; nothing is made."""
    write(project, own_server, password="not-the-password")
    with gone_afterwards(project):
        done = project.chatdb("up", "--stack", "own", "--yes")
    assert is_clean_error(done, password="not-the-password")
    assert f"cannot connect to {own_server.host}:{own_server.port}/postgres as {own_server.username}" in done.stderr
    assert f"Check the password of {own_server.username}." in done.stderr


def test_a_server_that_is_not_there_is_said(project: Project, own_server: ServerFile) -> None:
    """Connection refused, with the address."""
    write(project, own_server, port=1)
    with gone_afterwards(project):
        done = project.chatdb("up", "--stack", "own", "--yes")
    assert is_clean_error(done)
    assert f"cannot connect to {own_server.host}:1/postgres" in done.stderr


def test_a_server_that_refuses_tls_is_said(project: Project, own_server: ServerFile) -> None:
    """sslmode=require against a server without a certificate."""
    write(project, own_server, sslMode="require")
    with gone_afterwards(project):
        done = project.chatdb("up", "--stack", "own", "--yes")
    assert is_clean_error(done)
    assert "sslmode is require" in done.stderr


def test_a_missing_prerequisite_table_is_named(project: Project, own_server: ServerFile) -> None:
    """Without stand-ins, the application's users must be there; the first migration leaves nothing behind."""
    write(project, own_server)
    with gone_afterwards(project):
        done = project.chatdb("up", "--stack", "own", "--yes")
        with connect(own_server.target("lyra")) as connection:
            row = connection.execute(
                "SELECT to_regclass('public.chat_messages'), to_regclass('chatdb.ledger')"
            ).fetchone()
            rows = connection.execute("SELECT count(*) FROM chatdb.ledger").fetchone()
    assert is_clean_error(done)
    assert "public.users" in done.stderr
    assert row is not None
    assert row[0] is None
    assert rows == (0,)


def prepared(server: ServerFile, product: str, statements: str) -> None:
    """Make a product's owner and database by hand, with the application's tables, as a real application has them."""
    names = naming.role_names(products.load(product))
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(names.owner)))
        database = products.load(product).database
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(names.owner))
        )
    with connect(server.target(database).to(role=names.owner)) as connection:
        connection.execute(statements.encode())


def removed(server: ServerFile, product: str) -> None:
    """Undo `prepared`."""
    names = naming.role_names(products.load(product))
    with connect(server.target()) as connection:
        database = sql.Identifier(products.load(product).database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        for name in (names.owner, *names.logins.values()):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def test_what_stands_already_and_is_not_the_stacks_is_refused(project: Project, own_server: ServerFile) -> None:
    """A database of that name that this stack did not make is left as it is."""
    prepared(own_server, "lyra", "CREATE TABLE users (id uuid PRIMARY KEY)")
    try:
        write(project, own_server)
        with gone_afterwards(project):
            done = project.chatdb("up", "--stack", "own", "--yes")
        with connect(own_server.target("lyra")) as connection:
            row = connection.execute("SELECT to_regclass('public.users') IS NOT NULL").fetchone()
    finally:
        removed(own_server, "lyra")
    assert is_clean_error(done)
    assert "lyra_owner" in done.stderr
    assert row == (True,)


@pytest.mark.parametrize(
    ("product", "statements", "expected"),
    [
        pytest.param(
            "storefront",
            "CREATE TABLE users (id uuid PRIMARY KEY)",
            ["public.users", "uuid", "text"],
            id="prerequisite with a key of another type",
        ),
        pytest.param(
            "robotics",
            "CREATE TABLE users (id uuid PRIMARY KEY); CREATE TABLE chats (id int PRIMARY KEY, title text)",
            ["public.chats", "title"],
            id="table of another shape in the way",
        ),
    ],
)
def test_apply_refuses_a_database_that_does_not_fit(
    project: Project, own_server: ServerFile, product: str, statements: str, expected: list[str]
) -> None:
    """The same preflight stands before `chatdb apply` and before the stack's migrations."""
    prepared(own_server, product, statements)
    try:
        target = own_server.target(products.load(product).database)
        address = f"postgresql://{target.user}:{target.password}@{target.host}:{target.port}/{target.database}"
        owner = naming.role_names(products.load(product)).owner
        done = project.chatdb("apply", "--product", product, "--owner", owner, DATABASE_URL=address)
        with connect(target) as connection:
            row = connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'idx_chats_user_id'").fetchone()
    finally:
        removed(own_server, product)
    assert is_clean_error(done, password=target.password)
    for word in expected:
        assert word in done.stderr
    assert row == (0,)


def test_a_destroyed_stack_keeps_what_its_files_secrets_are_encrypted_with(
    project: Project, own_server: ServerFile
) -> None:
    """The stack comes up again without the password being set again."""
    write(project, own_server, standIns=True)
    with gone_afterwards(project):
        project.succeed("up", "--stack", "own", "--yes")
        project.succeed("destroy", "--stack", "own", "--yes")
        assert [path.name for path in (project.folder / ".chatdb/own").iterdir()] == ["passphrase"]
        project.succeed("up", "--stack", "own", "--yes")
