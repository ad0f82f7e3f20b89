"""Protected data goes only with its phrase and a proven backup; kept data stays, closed, and can be come back to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from tests.support.aws import refusing_s3
from tests.support.project import Project, copied_project

STACK = "live"
PEOPLE = 3
DESTROY = ("destroy", "--stack", STACK, "--yes")
LOGINS = ("lyra_app", "lyra_migrator", "lyra_readonly")


def settings(server: ServerFile, project: Project, **changes: object) -> None:
    """Write the stack's file; the server is somebody else's."""
    (project.folder / "server.json").write_text(json.dumps(asdict(server)), encoding="utf-8")
    kept = {"serverFile": "server.json", "standIns": True, "products": ["lyra"], "onDestroy": "keep"}
    project.write_stack(STACK, {**kept, **changes})


@pytest.fixture(scope="module")
def live(own_server: ServerFile) -> Iterator[Project]:
    """A protected stack with lyra and three users, up; each test leaves it up."""
    with copied_project() as project:
        settings(own_server, project)
        project.succeed("up", "--stack", STACK, "--yes")
        with connect(own_server.target("lyra")) as connection:
            connection.execute("INSERT INTO users SELECT FROM generate_series(1, %s)", [PEOPLE])
        yield project


@pytest.fixture
def lyra(own_server: ServerFile) -> Target:
    """Its database, as the superuser."""
    return own_server.target("lyra")


def people(target: Target) -> int:
    with connect(target) as connection:
        row = connection.execute("SELECT count(*) FROM users").fetchone()
    return int(row[0]) if row else 0


def open_logins(server: ServerFile) -> list[str]:
    with connect(server.target()) as connection:
        query = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname = ANY(%s) ORDER BY 1"
        return [row[0] for row in connection.execute(query, [list(LOGINS)]).fetchall()]


def backups(project: Project) -> list[Path]:
    return sorted(project.folder.glob(f"backups/{STACK}/lyra/*/manifest.json"))


def destroyed_by_the_engine(project: Project, **variables: str) -> subprocess.CompletedProcess[str]:
    """Destroy the stack without the command's own care, as another engine would, after its protection was taken off."""
    script = (
        "from pathlib import Path; from embedded import kept, stackfile; from embedded.engine import deployment\n"
        "from infra.errors import ChatdbError\n"
        f"here = Path('.').resolve(); found = kept.without_protection(stackfile.export_stack(here, '{STACK}'))\n"
        f"stackfile.import_stack(here, '{STACK}', found)\n"
        "try:\n"
        f"    deployment.run('destroy', project=here, stack='{STACK}')\n"
        "except ChatdbError as error:\n"
        "    raise SystemExit(str(error))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env=project.variables(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_protected_stack_is_not_destroyed_and_both_steps_are_said(
    live: Project, own_server: ServerFile, lyra: Target
) -> None:
    """With the rows of each table; a phrase that is not to the letter is a mistake in the settings."""
    for given, done in (({}, ""), ({"destroyConfirmation": f"DESTROY {STACK}"}, " (done)")):
        settings(own_server, live, **given)
        refused = live.chatdb(*DESTROY)
        assert refused.returncode == 1
        assert f"stack {STACK} is protected: it is not destroyed" in refused.stderr
        assert f"lyra in {lyra.label}: {PEOPLE} rows (public.users {PEOPLE})" in refused.stderr
        assert f"chatdb:destroyConfirmation 'DESTROY {STACK}'{done}\n" in refused.stderr
        assert "chatdb:backupTo" in refused.stderr
    settings(own_server, live, destroyConfirmation=f"destroy {STACK}")
    wrong = live.chatdb(*DESTROY)
    assert f"chatdb:destroyConfirmation: is not the phrase; it is DESTROY {STACK}" in wrong.stderr
    settings(own_server, live)
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))


def test_the_guard_in_the_stack_refuses_on_any_engine(live: Project, own_server: ServerFile, lyra: Target) -> None:
    """Without the phrase, without a backup, and with rows that were written after it; the logins are open again."""
    phrase, place = f"DESTROY {STACK}", str(live.folder / "backups")
    refused = destroyed_by_the_engine(live)
    assert "lyra is protected on stack live" in refused.stderr
    refused = destroyed_by_the_engine(live, CHATDB_DESTROY_CONFIRMATION=phrase)
    assert "no backup holds what is in lyra on stack live" in refused.stderr
    assert f"{PEOPLE} rows (public.users {PEOPLE}); the stack has no backupTo" in refused.stderr
    live.succeed("backup", "--stack", STACK, "--to", place)
    with connect(lyra) as connection:
        connection.execute("INSERT INTO users (id) VALUES ('00000000-0000-0000-0000-000000000001')")
    refused = destroyed_by_the_engine(live, CHATDB_DESTROY_CONFIRMATION=phrase, CHATDB_BACKUP_TO=place)
    assert f"public.users has {PEOPLE + 1} rows, expected {PEOPLE} rows" in refused.stderr
    with connect(lyra) as connection:
        connection.execute("DELETE FROM users WHERE id = '00000000-0000-0000-0000-000000000001'")
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))
    live.succeed("up", "--stack", STACK, "--yes")


def test_an_answer_that_is_not_yes_changes_nothing(live: Project, own_server: ServerFile) -> None:
    """Not even a backup is taken."""
    before = backups(live)
    settings(own_server, live, destroyConfirmation=f"DESTROY {STACK}", backupTo="backups")
    refused = live.chatdb("destroy", "--stack", STACK, typed="no\n")
    settings(own_server, live)
    assert refused.returncode == 1
    assert f"destroy stack {STACK} was not confirmed" in refused.stderr
    assert backups(live) == before


@pytest.mark.parametrize(
    ("arguments", "at", "status", "said"),
    [
        pytest.param(("destroy",), "Type yes to go on: ", 1, "Ctrl-C was pressed", id="at the prompt of destroy"),
        pytest.param(("destroy", "--yes"), "lyra: dumping", 130, "interrupted", id="in the backup of destroy"),
        pytest.param(("backup",), "lyra: dumping", 130, "interrupted", id="in a backup"),
    ],
)
def test_ctrl_c_changes_nothing(
    live: Project, own_server: ServerFile, lyra: Target, arguments: tuple[str, ...], at: str, status: int, said: str
) -> None:
    """At a prompt it is a no (1), else an interruption (130); no traceback; no backup, no draft of one."""
    before = backups(live)
    settings(own_server, live, destroyConfirmation=f"DESTROY {STACK}", backupTo="backups")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments, "--stack", STACK],
        cwd=live.folder,
        env=live.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    shown = b""
    while at.encode() not in shown:
        piece = os.read(process.stderr.fileno(), 4096)
        assert piece, shown
        shown += piece
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)  # its standard input stays open until then: an end of it would be an answer
    rest = process.stderr.read()
    settings(own_server, live)
    assert process.returncode == status, shown + rest
    assert said.encode() in rest
    assert b"Traceback" not in shown + rest
    assert (backups(live), [path.name for path in live.folder.glob("backups/*/*/.*")]) == (before, [])
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))


def test_a_bucket_that_takes_no_backup_stops_a_destroy(live: Project, own_server: ServerFile, lyra: Target) -> None:
    """Nothing is destroyed without its backup: the rows are there, the logins open."""
    steps = {"destroyConfirmation": f"DESTROY {STACK}", "backupTo": "s3://backups/live", "awsRegion": "eu-central-1"}
    keys = {"AWS_ACCESS_KEY_ID": "AKIACHATDBTESTS00000", "AWS_SECRET_ACCESS_KEY": "secret-key"}
    with refusing_s3("AccessDenied", 403) as endpoint:
        settings(own_server, live, **steps, awsEndpoint=endpoint)
        refused = live.chatdb(*DESTROY, **keys)
    settings(own_server, live)
    assert refused.returncode == 1
    assert "backups cannot be written to s3://backups\nDETAIL: " in refused.stderr
    assert refused.stderr.endswith("STATE: Nothing was changed.\n")
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))


def test_kept_data_stays_closed_and_up_comes_back_to_it(live: Project, own_server: ServerFile, lyra: Target) -> None:
    """Sessions end, old passwords are refused, nothing is dropped; where it is, is said."""
    old = live.succeed("url", "--stack", STACK, "--product", "lyra").strip()
    before = len(backups(live))
    settings(own_server, live, destroyConfirmation=f"DESTROY {STACK}", backupTo="backups")
    with psycopg.connect(old) as session:
        said = live.succeed(*DESTROY)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert f"kept: database lyra on {lyra.host}:{lyra.port}, owned by lyra_owner\n" in said
    assert f"to come back to it: chatdb up --stack {STACK}\n" in said
    assert len(backups(live)) == before + 1
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, [])
    assert f"the data of lyra is kept, and `chatdb up --stack {STACK}` comes back to it" in live.succeed(*DESTROY)
    settings(own_server, live)
    shutil.rmtree(live.folder / ".chatdb" / STACK)  # whoever comes back may do so on another machine
    live.succeed("up", "--stack", STACK, "--yes")
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    psycopg.connect(live.succeed("url", "--stack", STACK, "--product", "lyra").strip()).close()
    assert live.succeed("up", "--stack", STACK, "--yes").startswith("nothing to do: ")


def test_what_others_use_is_not_taken_over(live: Project, own_server: ServerFile) -> None:
    """Where the logins are open, another state has the database: to take it over would change passwords in use."""
    state = live.folder / ".chatdb" / STACK / "stack.json"
    aside = state.rename(live.folder / "aside.json")
    refused = live.chatdb("up", "--stack", STACK, "--yes")
    state.unlink()
    aside.rename(state)
    assert refused.returncode == 1
    assert "the role lyra_owner exists already" in refused.stderr
    assert open_logins(own_server) == list(LOGINS)


def test_a_product_is_taken_out_only_by_both_steps_and_comes_back(
    live: Project, own_server: ServerFile, lyra: Target
) -> None:
    """Out of the settings is not out of the database."""
    steps = {"destroyConfirmation": f"DESTROY {STACK}", "backupTo": "backups"}
    settings(own_server, live, products=["robotics"])
    refused = live.chatdb("up", "--stack", STACK, "--yes")
    assert f"stack {STACK} is protected: lyra cannot be taken out of it" in refused.stderr
    settings(own_server, live, products=["robotics"], **steps)
    live.succeed("up", "--stack", STACK, "--yes")
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, [])
    settings(own_server, live, products=["lyra", "robotics"], **steps)
    live.succeed("up", "--stack", STACK, "--yes")
    assert (people(lyra), open_logins(own_server)) == (PEOPLE, list(LOGINS))
    settings(own_server, live, **steps)
    live.succeed("up", "--stack", STACK, "--yes")
    settings(own_server, live)
    live.succeed("up", "--stack", STACK, "--yes")


def test_protection_is_not_taken_off_without_the_phrase(live: Project, own_server: ServerFile) -> None:
    """`onDestroy: drop` alone is refused by the preview."""
    settings(own_server, live, onDestroy="drop")
    refused = live.chatdb("preview", "--stack", STACK)
    settings(own_server, live)
    assert refused.returncode == 1
    assert "lyra is protected on stack live" in refused.stderr


def test_a_database_of_another_name_is_refused_by_the_preview(live: Project) -> None:
    """What lies in it would be replaced, its guard too, and that is protected."""
    file = live.folder / "schema/lyra/product.toml"
    before = file.read_text()
    file.write_text(before.replace('database = "lyra"', 'database = "lyra_new"'))
    refused = live.chatdb("preview", "--stack", STACK)
    file.write_text(before)
    assert refused.returncode == 1
    assert "protected resources would be replaced" in refused.stderr


def test_a_stack_whose_first_up_never_ended_is_destroyed_where_nothing_is_in_it(
    live: Project, own_server: ServerFile
) -> None:
    """Both steps are asked for; a product without its guard goes only while it holds no row, and then it goes whole."""
    stack, destroy = "half", ("destroy", "--stack", "half", "--yes")
    half = {"serverFile": "server.json", "standIns": False, "products": ["insights"], "onDestroy": "keep"}
    live.write_stack(stack, half)
    stopped = live.chatdb("up", "--stack", stack, "--yes")
    assert stopped.returncode == 1
    assert "or the setting standIns: true" in stopped.stderr
    refused = live.chatdb(*destroy)
    assert "stack half is protected: it is not destroyed" in refused.stderr
    assert f"insights in {own_server.target('insights').label}: 0 rows" in refused.stderr
    live.write_stack(stack, {**half, "destroyConfirmation": "DESTROY half", "backupTo": "backups"})
    with connect(own_server.target("insights")) as connection:
        connection.execute("CREATE TABLE accounts (id int); INSERT INTO accounts VALUES (1)")
        refused = live.chatdb(*destroy)
        assert "stack half was never up as a whole, and there are rows in it already" in refused.stderr
        assert "insights in insights: 1 row (public.accounts 1)" in refused.stderr
        connection.execute("DROP TABLE accounts")
    assert "stack half is gone" in live.succeed(*destroy)
    with connect(own_server.target()) as connection:
        left = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'insights%' UNION SELECT datname FROM pg_database "
        assert connection.execute(left + "WHERE datname = 'insights'").fetchall() == []


def test_production_is_dropped_by_both_steps_and_restored_from_its_backup(
    live: Project, own_server: ServerFile, lyra: Target, tmp_path: Path
) -> None:
    """The last test: nothing is left on the server, and every row is in the backup."""
    end = {
        "production": True,
        "standIns": False,
        "onDestroy": "drop",
        "destroyConfirmation": f"DESTROY {STACK}",
        "backupTo": str(tmp_path),
    }
    settings(own_server, live, **end)
    live.succeed("up", "--stack", STACK, "--yes")
    assert live.succeed(*DESTROY).endswith(f"stack {STACK} is gone\n")
    with connect(own_server.target()) as connection:
        names = ["lyra", "lyra_owner", *LOGINS]
        query = (
            "SELECT datname FROM pg_database WHERE datname = ANY(%(names)s) "
            "UNION ALL SELECT rolname FROM pg_roles WHERE rolname = ANY(%(names)s)"
        )
        assert connection.execute(query, {"names": names}).fetchall() == []
        for name in ("lyra_owner", *LOGINS):
            connection.execute(f"CREATE ROLE {name}".encode())
    (place,) = [file.parent for file in tmp_path.rglob("manifest.json")]
    live.succeed("restore", "--stack", STACK, "--product", "lyra", "--from", str(place), "--into", "lyra_again")
    assert people(lyra.to(database="lyra_again")) == PEOPLE
