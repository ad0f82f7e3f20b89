"""`chatdb apply` on a database that a variable, an option or a field names: steps, prerequisites, waiting, secrets."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.access import connection_string
from cli.direct import from_url
from embedded.server import EmbeddedServer
from infra.connection import Target, connect
from infra.errors import ConnectionFailedError
from infra.migrations.model import Event
from infra.migrations.session import Session
from tests.cli.conftest import Shell
from tests.support.postgres import UNSAFE_BUT_QUICK, unique

Make = Callable[..., Target]


def test_applying_tells_the_steps_of_the_robotics_document_in_their_order(product_database: Make, shell: Shell) -> None:
    """Target, loaded, connecting, executing, verifying, the result read from the catalog, closed."""
    target = product_database("robotics")
    where = f"{target.host}/{target.database}"
    assert shell.done(target, "apply", "--product", "robotics") == (
        f"database: {where}\n"
        "loaded 4 migrations of robotics\n"
        f"connecting to {where}\n"
        "executing 0001_create_chats\n"
        "executing 0002_index_history\n"
        "0002_index_history: statement 1 of 1\n"
        "executing 0003_vacuum_after_inserts\n"
        "executing 0004_describe_personal_data\n"
        "verifying version 0004\n"
        "table public.chats created\n"
        "indexes created: 2 (idx_chats_created_at, idx_chats_user_id)\n"
        "indexes added: 1 (idx_chats_history)\n"
        "foreign key: yes\n"
        "cascading delete: yes (read from the catalog)\n"
        "verified: 58 facts are as version 0004 says\n"
        "connection closed\n"
        "robotics is at 0004\n"
    )


def test_applying_again_changes_nothing_and_says_so(product_database: Make, shell: Shell) -> None:
    """The second run ends with `nothing to do`."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics")
    with connect(target) as connection:
        before = connection.execute("SELECT * FROM chatdb.ledger ORDER BY sequence").fetchall()
    where = f"{target.host}/{target.database}"
    assert shell.done(target, "apply", "--product", "robotics") == (
        f"database: {where}\nloaded 4 migrations of robotics\nconnecting to {where}\n"
        "connection closed\nnothing to do: robotics is at 0004\n"
    )
    with connect(target) as connection:
        assert before == connection.execute("SELECT * FROM chatdb.ledger ORDER BY sequence").fetchall()


@pytest.mark.parametrize("name", ["futureguide", "insights", "lyra", "storefront"])
def test_every_product_is_applied_and_stands_at_its_newest_version(
    name: str, product_database: Make, shell: Shell
) -> None:
    """As JSON: product, version, names and digest on standard output, the steps on standard error."""
    target = product_database(name)
    done = shell.run(target, "apply", "--product", name, "--json")
    files = sorted(file.stem for file in (shell.project.folder / "schema" / name / "migrations").glob("*.sql"))
    result = json.loads(done.stdout)
    assert re.fullmatch("sha256:[0-9a-f]{64}", result.pop("digest"))
    assert result == {"product": name, "version": len(files), "applied": files, "recorded": []}
    assert done.stderr.splitlines()[-1] == "connection closed"
    assert json.loads(shell.done(target, "status", "--product", name, "--json")) == {
        "product": name,
        "version": len(files),
        "pending": [],
    }


def test_apply_stops_at_the_version_that_is_named(product_database: Make, shell: Shell) -> None:
    """A version may be written as its number, its label or its name."""
    target = product_database("insights")
    for text, version in (("1", 1), ("0002", 2), ("0003_keep_room_in_chats", 3)):
        said = shell.done(target, "apply", "--product", "insights", "--to", text)
        assert said.endswith(f"\ninsights is at {version:04d}\n")


def test_the_first_prerequisite_is_that_a_connection_is_given(shell: Shell) -> None:
    """The whole error, before anything is tried."""
    done = shell.run(None, "apply", "--product", "robotics")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "no connection string is given\n"
        "DETAIL: Neither --url nor --stack is given; DATABASE_URL, POSTGRES_URL and PGHOST are not set.\n"
        'HINT: Set it: export DATABASE_URL="postgresql://user:password@host/database?sslmode=require"; '
        "or name a stack: --stack dev\n"
        "STATE: Nothing was changed.\n"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no connection string is given"),
        ("postgresql://me@127.0.0.1/x", "PostgreSQL's driver for Python is not installed"),
    ],
    ids=["no connection comes first", "then the driver"],
)
def test_the_second_prerequisite_is_that_the_driver_is_present(url: str, message: str, shell: Shell) -> None:
    """Without psycopg the error names it and what installs it; without a connection, that comes first."""
    hide = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0].startswith('psycopg'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from cli.__main__ import main\n"
        "sys.exit(main(['apply', '--product', 'robotics']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide],
        cwd=shell.project.folder,
        env=shell.project.variables(**({"DATABASE_URL": url} if url else {})),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == message
    if url:
        assert done.stderr.splitlines()[2] == "HINT: Install what requirements.txt names: make install"


def test_the_third_prerequisite_is_the_users_table(product_database: Make, shell: Shell) -> None:
    """Missing users is told with what to do; nothing of ours is left behind but the empty ledger."""
    target = product_database("robotics", stand_ins=False)
    done = shell.run(target, "apply", "--product", "robotics")
    assert done.returncode == 1
    assert done.stderr == (
        "the table public.users does not exist\n"
        "DETAIL: robotics points to public.users.id (uuid), a table of its application\n"
        "HINT: Run the application's own migrations first; where it is only for trying out, have stand-ins made: "
        "--stand-ins, or the setting standIns: true.\n"
        "STATE: Nothing was changed.\n"
    )
    with connect(target) as connection:
        assert connection.execute("SELECT to_regclass('public.chats')").fetchone() == (None,)


def test_stand_ins_are_made_where_they_are_asked_for(product_database: Make, shell: Shell) -> None:
    """`--stand-ins` makes the application's tables that are missing."""
    target = product_database("storefront", stand_ins=False)
    said = shell.done(target, "apply", "--product", "storefront", "--stand-ins")
    assert said.endswith("\nstorefront is at 0005\n")


def test_a_production_stack_gets_no_stand_ins(shell: Shell) -> None:
    """Whatever database is named beside it."""
    done = shell.run(
        None, "apply", "--product", "lyra", "--stand-ins", "--stack", "prod", "--url", "postgresql://me@127.0.0.1:1/x"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "stack prod is marked as production: it gets no stand-ins"


def test_a_table_of_another_shape_is_refused_with_each_difference(product_database: Make, shell: Shell) -> None:
    """The differences are listed, and the table stays as it was."""
    target = product_database("robotics")
    with connect(target) as connection:
        connection.execute("CREATE TABLE chats (id uuid PRIMARY KEY, words text)")
    done = shell.run(target, "apply", "--product", "robotics", "--json")
    error = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 1
    assert error["message"] == "public.chats stands already in another shape than robotics has"
    assert "column public.chats.query is missing" in error["detail"]
    assert "column public.chats.words is not expected" in error["detail"]
    assert error["sqlstate"] == "42P07"


def named_by(target: Target) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """Return every way to name a database: arguments and variables."""
    url = connection_string(target)
    fields = ("--host", target.host, "--port", str(target.port), "--database", target.database, "--user", target.user)
    pg = {"PGHOST": target.host, "PGPORT": str(target.port), "PGDATABASE": target.database, "PGUSER": target.user}
    keyword = f"host={target.host} port={target.port} dbname={target.database} user={target.user}"
    return {
        "DATABASE_URL": ((), {"DATABASE_URL": url}),
        "POSTGRES_URL": ((), {"POSTGRES_URL": url}),
        "a driver in the scheme": ((), {"DATABASE_URL": url.replace("postgresql://", "postgresql+asyncpg://")}),
        "--url over a variable": (("--url", url), {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}),
        "key=value": (("--url", keyword), {"PGPASSWORD": target.password}),
        "PG*": ((), {**pg, "PGPASSWORD": target.password}),
        "fields": (fields, {"PGPASSWORD": target.password}),
        "fields over a variable": (fields, {"PGPASSWORD": target.password, "DATABASE_URL": "postgresql://no@no:1/no"}),
    }


WAYS = (
    "DATABASE_URL",
    "POSTGRES_URL",
    "a driver in the scheme",
    "--url over a variable",
    "key=value",
    "PG*",
    "fields",
    "fields over a variable",
)


@pytest.mark.parametrize("way", WAYS)
def test_a_database_is_named_in_every_way_that_people_know(way: str, database: Target, shell: Shell) -> None:
    """Each way reaches the same database."""
    arguments, variables = named_by(database)[way]
    done = shell.run(None, "status", "--product", "lyra", *arguments, **variables)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("lyra is at 0000\n")


def test_a_service_file_names_a_database_too(database: Target, shell: Shell, tmp_path: Path) -> None:
    """PGSERVICE and libpq's service file, as psql reads them."""
    file = tmp_path / "pg_service.conf"
    file.write_text(
        f"[chat]\nhost={database.host}\nport={database.port}\ndbname={database.database}\nuser={database.user}\n"
        f"password={database.password}\n"
    )
    done = shell.run(None, "status", "--product", "lyra", PGSERVICE="chat", PGSERVICEFILE=str(file))
    assert (done.returncode, done.stderr) == (2, "")


UNREADABLE = {
    "another scheme": ("mysql://me:geheim@host/db", "It is neither a postgresql:// URL nor libpq's key=value form"),
    "a port in words": ("postgresql://me:geheim@host:abc/db", "Its port is no number from 1 to 65535"),
    "a slash in the password": ("postgresql://me:geheim/x@host/db", "Its port is no number from 1 to 65535"),
    "a slash after digits": (
        "postgresql://me:4711/geheim@host/db",
        "Its password, or another part, holds a character that ends it",
    ),
    "an @ in the password": (
        "postgresql://me:x@geheim@host/db",
        "Its password, or another part, holds a character that ends it",
    ),
    "a parameter of Prisma's": (
        "postgresql://me:geheim@host/db?schema=public",
        "It has the parameter schema, which is a driver's own: TLS is asked for by sslmode",
    ),
    "what looks like a parameter": (
        "postgresql://me:x/?geheim=1@host/db",
        "It is neither a postgresql:// URL nor libpq's key=value form",
    ),
    "bytes that are no text": (
        "postgresql://me:geheim%ff@host/db",
        "It, or a PG* variable, holds bytes that are no UTF-8 text",
    ),
    "several servers": ("postgresql://me:geheim@h1,h2/db", "It names several servers, and one is to be migrated"),
}


@pytest.mark.parametrize(("url", "why"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_connection_string_is_not_repeated(url: str, why: str, shell: Shell) -> None:
    """It may hold a password."""
    done = shell.run(None, "apply", "--product", "lyra", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr == (
        "the connection string cannot be read\n"
        f"DETAIL: {why}; it may hold a password, so it is not shown.\n"
        "HINT: Give it as postgresql://user:password@host:5432/database?sslmode=require, with @ : / ? # % in the "
        "password percent-encoded: %40 %3A %2F %3F %23 %25.\n"
        "STATE: Nothing was changed.\n"
    )


STANDBY = "Name a standby, or leave target_session_attrs out of the connection string."
OPTION = "Mend that option, which the connection string, a PG* variable or ALTER ROLE … SET gives."
ATTRIBUTES = {
    "no standby": ("target_session_attrs=standby", "server is not in hot standby mode", STANDBY),
    "no read-only session": ("target_session_attrs=read-only", "session is not read-only", STANDBY),
    "only reads": (
        "target_session_attrs=read-write&options=-c%20default_transaction_read_only%3Don",
        "session is read-only",
        "Name the server that takes writes, and a login without default_transaction_read_only.",
    ),
    "no such value": ("target_session_attrs=rubbish", 'invalid target_session_attrs value: "rubbish"', OPTION),
    "no such setting": ("options=-c%20rubbish%3D1", 'unrecognized configuration parameter "rubbish"', OPTION),
    "no value of a setting": (
        "options=-c%20statement_timeout%3Drubbish",
        'invalid value for parameter "statement_timeout": "rubbish"',
        OPTION,
    ),
}


@pytest.mark.parametrize(("attribute", "why", "hint"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_an_attribute_of_the_connection_string_that_cannot_be_had_is_named(
    attribute: str, why: str, hint: str, database: Target
) -> None:
    """The server runs and is reached: to check that would be the wrong advice."""
    with pytest.raises(ConnectionFailedError) as caught:
        connect(from_url(f"{connection_string(database)}&{attribute}"))
    assert why in caught.value.detail
    assert caught.value.hint == hint


def test_a_run_goes_on_where_nobody_reads_what_it_tells(product_database: Make, shell: Shell) -> None:
    """`chatdb apply | head -1` once ended with status 0 and nothing applied. What only prints ends as by SIGPIPE."""
    target = product_database("lyra")
    reading, writing = os.pipe()
    os.close(reading)
    for arguments, status in ((("apply", "--owner", target.role), 0), (("sql",), 141)):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments, "--product", "lyra"],
            cwd=shell.project.folder,
            env=shell.project.variables(DATABASE_URL=connection_string(target)),
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, b"")
    os.close(writing)
    assert shell.run(target, "status", "--product", "lyra").returncode == 0


@pytest.mark.parametrize(
    ("shut", "status", "words"),
    [
        ("> /dev/full", 1, "the output cannot be written\nDETAIL: [Errno 28] No space left on device\n"),
        (">&-", 0, ""),
    ],
)
def test_output_that_goes_nowhere_is_no_riddle(shell: Shell, *, shut: str, status: int, words: str) -> None:
    """A full disk, a stream that was closed before."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m cli sql --product lyra {shut}"],
        cwd=shell.project.folder,
        env=shell.project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr[: len(words)]) == (status, words)
    assert done.stderr.count("\n") == (4 if words else 0)


def test_a_line_end_behind_the_connection_string_is_no_part_of_it(database: Target) -> None:
    """A variable that was read out of a file often has one, or the quotes it stood in there."""
    url = connection_string(database)
    assert from_url(f" {url}\n") == from_url(f'"{url}"') == from_url(f"'{url}'\n") == from_url(url)


def test_a_variable_that_holds_nothing_but_a_blank_names_no_database(shell: Shell) -> None:
    """A secret that a pipeline does not have is not the database of whoever runs it."""
    done = shell.run(None, "apply", "--product", "lyra", DATABASE_URL=" \n")
    assert done.returncode == 1
    assert done.stderr.startswith("no connection string is given\n")


CLOSED = {
    "no login": ("ALTER ROLE {role} NOLOGIN", "28000", "(ALTER ROLE … LOGIN)"),
    "no session left": ("ALTER ROLE {role} CONNECTION LIMIT 0", "53300", "raise the limit"),
    "closed": ("ALTER DATABASE {database} ALLOW_CONNECTIONS false", "55000", "ALLOW_CONNECTIONS true"),
}


@pytest.mark.parametrize(("statement", "sqlstate", "hint"), CLOSED.values(), ids=CLOSED)
def test_a_login_that_the_server_does_not_take_is_told_what_opens_it(
    database: Target, *, statement: str, sqlstate: str, hint: str
) -> None:
    """The server runs and is reached. A password that is part of the login's name leaves no gap that tells it."""
    role = unique("closed")
    with connect(database.to(database="postgres")) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'closed'".encode())
        connection.execute(statement.format(role=role, database=database.database).encode())
        with pytest.raises(ConnectionFailedError) as caught:
            connect(database.to(user=role, password="closed"))
        connection.execute(f"DROP ROLE {role}".encode())
    assert caught.value.sqlstate == sqlstate
    assert hint in caught.value.hint
    assert "***" not in str(caught.value)


REFUSALS = {
    "no TLS": ("sslmode=require", "sslmode is require"),
    "no channel binding": ("channel_binding=require", "Leave channel_binding out"),
    "no password": ("password=", "Give the password of "),
    "no such service": ("service=nowhere", "Mend that option"),
}


@pytest.mark.parametrize(("attribute", "hint"), REFUSALS.values(), ids=REFUSALS)
def test_what_another_try_would_not_mend_is_not_tried_again(
    database: Target, monkeypatch: pytest.MonkeyPatch, *, attribute: str, hint: str
) -> None:
    """It was told as "no answer yet" for half a minute."""
    monkeypatch.setenv("PGSERVICE", "")  # so that it is afterwards as it was before
    monkeypatch.delenv("PGSERVICE")
    told: list[Event] = []
    url = connection_string(database).replace("sslmode=disable", "connect_timeout=9")
    with pytest.raises(ConnectionFailedError) as caught:
        Session(from_url(f"{url}&{attribute}"), report=told.append, connect_wait_s=5)
    assert hint in caught.value.hint
    assert [event.kind for event in told] == ["connecting"]


def test_sslmode_is_as_it_is_asked_for(database: Target, shell: Shell) -> None:
    """A server without TLS is not spoken to in plain where TLS is required."""
    url = connection_string(database).replace("sslmode=disable", "sslmode=require")
    done = shell.run(None, "apply", "--product", "lyra", DATABASE_URL=url)
    assert done.returncode == 1
    assert "server does not support SSL, but SSL was required" in done.stderr
    assert "sslmode is require" in done.stderr


def test_further_keywords_of_a_connection_string_reach_libpq(database: Target, shell: Shell) -> None:
    """What the URL asks for beside the usual is not dropped: this server cannot bind a channel without TLS."""
    url = connection_string(database) + "&channel_binding=require"
    done = shell.run(None, "apply", "--product", "lyra", DATABASE_URL=url)
    assert done.returncode == 1
    assert "channel binding" in done.stderr


def test_no_password_is_ever_printed(product_database: Make, shell: Shell) -> None:
    """Neither the right one nor a wrong one, in success, failure and JSON."""
    target = product_database("lyra")
    wrong = target.to(password="wrong-secret-77")
    for this in (target, wrong):
        for arguments in (("apply",), ("status",), ("history",), ("rollback", "--to", "0"), ("baseline",), ("verify",)):
            for form in ((), ("--json",)):
                done = shell.run(this, *arguments, "--product", "lyra", *form)
                assert this.password not in done.stdout + done.stderr
                assert "Traceback" not in done.stderr


def test_a_server_that_sleeps_is_waited_for(shell: Shell, tmp_path: Path) -> None:
    """The port answers nobody at first; the run tells that it tries again, and goes on when the server is up."""
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    server = EmbeddedServer(tmp_path / "server", settings=UNSAFE_BUT_QUICK)
    target = server.start().target()
    server.stop()
    woken = threading.Timer(1.5, server.start)
    woken.start()
    try:
        done = shell.run(target, "apply", "--product", "lyra", "--stand-ins", "--wait", "60")
        assert done.returncode == 0, done.stderr
        assert f"no answer yet from {target.host}/{target.database}: " in done.stdout
        assert done.stdout.endswith("\nlyra is at 0003\n")
    finally:
        woken.join()
        server.destroy()


def test_a_server_that_is_not_there_is_an_error_at_once_on_this_machine(shell: Shell) -> None:
    """Connection refused, with what to look at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = shell.run(None, "apply", "--product", "lyra", DATABASE_URL=f"postgresql://me:geheim@127.0.0.1:{port}/db")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"cannot connect to 127.0.0.1:{port}/db as me"
    assert "Connection refused" in done.stderr
    assert "a serverless database may be asleep. sslmode is prefer." in done.stderr


def test_a_run_that_waits_says_for_whom(product_database: Make, shell: Shell) -> None:
    """Process, role, application, age and the masked query of the session in the way."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics", "--to", "2")
    with connect(target.to(application_name="billing")) as blocker:
        blocker.execute("BEGIN")
        blocker.execute("LOCK TABLE public.chats IN ACCESS EXCLUSIVE MODE")
        blocker.execute("SELECT 'a very private word', 4711")
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "cli", "apply", "--product", "robotics", "--owner", target.role],
            cwd=shell.project.folder,
            env=shell.project.variables(DATABASE_URL=connection_string(target)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "waits for" in line:
                break
        blocker.execute("ROLLBACK")
    said += process.communicate()[0]
    assert process.returncode == 0, said
    assert re.search(
        rf"0003_vacuum_after_inserts waits for pid \d+, {target.user} \(billing\), idle in transaction for \d+ s: "
        r"SELECT \?, \?",
        said,
    )
    assert said.endswith("\nrobotics is at 0004\n")


def test_two_runs_at_once_both_succeed_and_apply_once(product_database: Make, shell: Shell) -> None:
    """The one that comes second waits, and finds nothing to do."""
    target = product_database("insights")
    results: list[subprocess.CompletedProcess[str]] = []
    runs = [
        threading.Thread(target=lambda: results.append(shell.run(target, "apply", "--product", "insights")))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.returncode for run in results] == [0, 0]
    with connect(target) as connection:
        rows = connection.execute("SELECT version FROM chatdb.ledger ORDER BY sequence").fetchall()
    assert rows == [(version,) for version in range(1, 6)]


def test_a_draft_is_not_applied(product_database: Make, own_shell: Shell) -> None:
    """Its mark at the top refuses it, by `apply` and by `sql`; nothing is applied."""
    folder = own_shell.project.folder / "schema/lyra/migrations"
    (folder / "0004_rate.sql").write_text("-- DRAFT\n-- migrate:up\nSELECT 1;\n-- migrate:down\n")
    target = product_database("lyra")
    expected = (
        "migration 0004_rate is a draft that nobody has reviewed\n"
        "DETAIL: it was made by `chatdb new --from-schema` and begins with its mark\n"
        "HINT: Review each statement, write the reason in place of the mark at its top, then run again.\n"
        "STATE: Nothing was changed.\n"
    )
    for command in ("apply", "sql"):
        done = own_shell.run(target if command == "apply" else None, command, "--product", "lyra")
        assert (done.returncode, done.stderr) == (1, expected)
    with connect(target) as connection:
        assert connection.execute("SELECT to_regclass('chatdb.ledger')").fetchone() == (None,)


def test_with_nothing_to_do_only_what_is_needed_is_loaded(product_database: Make, shell: Shell) -> None:
    """No drawing, no parser of SQL, no settings, no Pulumi: loading them would be most of the time."""
    target = product_database("robotics")
    shell.done(target, "apply", "--product", "robotics")
    arguments = ["apply", "--product", "robotics", "--owner", target.role]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli", *arguments],
        cwd=shell.project.folder,
        env=shell.project.variables(DATABASE_URL=connection_string(target)),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    heavy = {"rich", "pydantic", "pulumi", "pglast", "ruamel", "typer", "shtab", "cryptography", "grpc"}
    assert loaded & heavy == set()
    assert "psycopg" in loaded


def test_ctrl_c_ends_a_run_in_our_words(product_database: Make, shell: Shell) -> None:
    """Interrupted while it waits: exit status 130, what is committed stays, the next run goes on."""
    import signal

    target = product_database("lyra")
    shell.done(target, "apply", "--product", "lyra", "--to", "1")
    with connect(target) as blocker:
        blocker.execute("BEGIN")
        blocker.execute("LOCK TABLE public.chat_messages IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "cli", "apply", "--product", "lyra", "--owner", target.role],
            cwd=shell.project.folder,
            env=shell.project.variables(DATABASE_URL=connection_string(target)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "waits for" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        blocker.execute("ROLLBACK")
    assert process.returncode == 130
    assert errors.splitlines()[0] == "interrupted"
    assert "Traceback" not in errors
    assert shell.done(target, "apply", "--product", "lyra").endswith("\nlyra is at 0003\n")


def test_a_migration_without_its_snapshot_is_not_applied(product_database: Make, own_shell: Shell) -> None:
    """Nobody could say afterwards whether it went well; the hint says how the snapshot is made."""
    target = product_database("lyra")
    migration = "-- Reason.\n-- migrate:up\nALTER TABLE chat_messages ADD COLUMN x int;\n-- migrate:down\n"
    (own_shell.project.folder / "schema/lyra/migrations/0004_more.sql").write_text(migration, encoding="utf-8")
    ran = own_shell.run(target, "apply", "--product", "lyra")
    assert ran.returncode == 1
    assert "lyra has no snapshot of version 0004\n" in ran.stderr
    assert ran.stderr.endswith(
        "HINT: Make it with `chatdb snapshot`, and commit it beside its migration.\nSTATE: Nothing was changed.\n"
    )
    assert own_shell.run(target, "status", "--product", "lyra").stdout.startswith("lyra is at 0000\n")
