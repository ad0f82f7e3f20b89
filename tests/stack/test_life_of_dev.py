"""The life of the dev stack on the embedded engine, as `make` runs it: up, again, stopped, started, refreshed, gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infra import naming, products
from tests.support.project import Project

PRODUCTS = products.names()


@pytest.fixture(scope="module")
def up(project: Project) -> Project:
    """The dev stack, up."""
    project.succeed("up", "--stack", "dev", "--yes")
    return project


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent has no command line any more."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def url(project: Project, product: str, role: str) -> str:
    return project.succeed("url", "--product", product, "--role", role).strip()


def test_up_brings_every_product_to_its_newest_version_and_verifies_it(up: Project) -> None:
    """The outputs name version, digest, database and roles of all five."""
    outputs = json.loads(up.succeed("stack", "output", "--json"))["products"]
    assert sorted(outputs) == PRODUCTS
    for name in PRODUCTS:
        newest = sorted(products.load(name).migrations_folder.glob("*.sql"))[-1].name[:4]
        assert outputs[name]["version"] == newest
        assert outputs[name]["digest"].startswith("sha256:")
        assert outputs[name]["database"] == products.load(name).database
        analytics = {"analytics"} if name in ("futureguide", "storefront") else set()
        assert set(outputs[name]["roles"]) == {"owner", "migrator", "app", "readonly"} | analytics


def test_up_again_has_nothing_to_do_and_says_so(up: Project) -> None:
    """The second run changes nothing, exits 0, and shows the summary."""
    said = up.succeed("up", "--stack", "dev", "--yes")
    assert said.startswith("nothing to do: ")
    for name in PRODUCTS:
        assert f"chatdb psql --product {name}" in said


def test_preview_and_refresh_find_nothing_to_change(up: Project) -> None:
    """What was just made is what the program wants and what is there."""
    assert up.succeed("preview", "--stack", "dev").startswith("nothing to do: ")
    up.succeed("refresh", "--stack", "dev", "--yes", "--expect-no-changes")
    up.succeed("preview", "--stack", "dev", "--expect-no-changes")


def test_url_prints_a_connection_string_and_nothing_else(up: Project) -> None:
    """One line, which opens a session as the service."""
    done = up.chatdb("url", "--product", "lyra", "--role", "app")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    with psycopg.connect(done.stdout.strip()) as session:
        row = session.execute("SELECT current_user, current_database()").fetchone()
    assert row == ("lyra_app", "lyra")


def test_psql_opens_a_session(up: Project) -> None:
    """Arguments after -- go to psql."""
    done = up.chatdb("psql", "--product", "robotics", "--", "-Atc", "SELECT current_user")
    assert (done.returncode, done.stdout) == (0, "robotics_app\n")


def test_psql_as_migrator_acts_as_the_owner(up: Project) -> None:
    """What is made by hand belongs to the owner too."""
    done = up.chatdb(
        "psql", "--product", "robotics", "--role", "migrator", "--", "-Atc", "SELECT current_user, session_user"
    )
    assert done.stdout == "robotics_owner|robotics_migrator\n"


def test_verify_passes_and_prints_what_was_checked(up: Project) -> None:
    """Exit status 0; JSON for machines."""
    assert "as it must be" in up.succeed("verify", "--product", "insights")
    reports = json.loads(up.succeed("verify", "--json"))
    assert {report["product"]: report["ok"] for report in reports} == dict.fromkeys(PRODUCTS, True)


def test_verify_names_a_difference_and_exits_1(up: Project) -> None:
    """An index dropped by hand is found and named; put back, all is well."""
    migrator = ("psql", "--product", "lyra", "--role", "migrator", "--", "-c")
    up.succeed(*migrator, "DROP INDEX idx_chat_messages_sender")
    done = up.chatdb("verify", "--product", "lyra")
    up.succeed(*migrator, "CREATE INDEX idx_chat_messages_sender ON chat_messages (sender)")
    assert done.returncode == 1
    assert "idx_chat_messages_sender" in done.stdout
    up.succeed("verify", "--product", "lyra")


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_login_enters_its_own_database_and_no_other(up: Project, product: str) -> None:
    """PUBLIC may not connect: a service of one product is refused by the database of another (42501)."""
    other = PRODUCTS[(PRODUCTS.index(product) + 1) % len(PRODUCTS)]
    for role in naming.role_names(products.load(product)).logins:
        own = url(up, product, role)
        psycopg.connect(own).close()
        foreign = own.replace(f"/{products.load(product).database}?", f"/{products.load(other).database}?")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(foreign)


def test_no_password_stands_in_the_state_or_in_any_output(up: Project) -> None:
    """Neither the state on disk nor what the commands print holds a password in plain."""
    passwords = [
        psycopg.conninfo.conninfo_to_dict(url(up, name, role))["password"]
        for name in PRODUCTS
        for role in ("app", "migrator")
    ]
    passwords.append(json.loads((up.folder / ".chatdb/dev/server/server.json").read_text())["password"])
    said = [
        up.succeed("stack", "export"),
        up.succeed("stack", "output", "--json"),
        up.succeed("preview"),
        (up.folder / ".chatdb/dev/stack.json").read_text(),
        (up.folder / ".chatdb/dev/server/server.log").read_text(),
    ]
    assert [password for password in passwords if any(str(password) in text for text in said)] == []


def test_an_exported_stack_imports_and_previews_as_unchanged(up: Project) -> None:
    """Export and import are each other's way back."""
    exported = up.succeed("stack", "export", "--stack", "dev")
    file = up.folder / "dev.json"
    file.write_text(exported)
    up.succeed("stack", "import", "--stack", "dev", "--file", str(file))
    assert up.succeed("preview", "--stack", "dev").startswith("nothing to do: ")


@contextmanager
def rating(up: Project) -> Iterator[None]:
    """Have one more migration of robotics, with its snapshot, for the length of the block."""
    folder = up.folder / "schema/robotics"
    file, pinned = folder / "migrations/0005_note_rating.sql", folder / "snapshots/0005.json"
    file.write_text(
        "-- Readers rate an answer. Locks public.chats for a moment.\n\n-- migrate:up\n\n"
        "ALTER TABLE public.chats ADD COLUMN rating bigint;\n\n"
        "-- migrate:down\n\nALTER TABLE public.chats DROP COLUMN rating;\n"
    )
    snapshot = json.loads((folder / "snapshots/0004.json").read_text())
    snapshot["tables"]["chats"]["columns"]["rating"] = {"type": "bigint", "nullable": True}
    pinned.write_text(json.dumps(snapshot))
    try:
        yield
        up.succeed("rollback", "--product", "robotics", "--to", "4", "--confirm", "DELETE CHATS TABLE")
    finally:
        file.unlink()
        pinned.unlink()
        up.succeed("up", "--stack", "dev", "--yes")


def test_a_new_migration_is_shown_in_full_by_the_preview_and_applied_once(up: Project) -> None:
    """The pending SQL stands in the preview; `up` applies that and nothing else."""
    with rating(up):
        assert up.chatdb("preview", "--stack", "dev", "--expect-no-changes").returncode == 2
        preview = up.succeed("preview", "--stack", "dev")
        assert "pending: 0005_note_rating" in preview
        assert "ALTER TABLE public.chats ADD COLUMN rating bigint;" in preview
        assert "0004_describe_personal_data" not in preview
        done = up.chatdb("up", "--stack", "dev", "--yes")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("1 updated; ")
        status = json.loads(up.succeed("status", "--product", "robotics", "--json"))
        assert status == {"product": "robotics", "version": 5, "pending": []}


def test_an_update_that_waits_says_for_whom_while_it_waits(up: Project) -> None:
    """The session in the way ends only after its pid was told, once."""
    command = [sys.executable, "-m", "cli", "up", "--stack", "dev", "--yes"]
    with rating(up), psycopg.connect(url(up, "robotics", "readonly"), application_name="report") as report:
        report.execute("SELECT FROM chats")
        running = subprocess.Popen(
            command, cwd=up.folder, env=up.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert running.stderr is not None
        waits = f"robotics: 0005_note_rating waits for pid {report.info.backend_pid}, robotics_readonly (report), "
        said = []
        for line in running.stderr:
            said.append(line)
            if line.startswith(waits):
                report.rollback()
        assert running.wait() == 0, said
        assert sum(line.startswith(waits) for line in said) == 1


def test_status_and_history_without_a_product_are_of_all(up: Project) -> None:
    """One look at the whole stack; a broken ledger is named with its product after every other was shown."""
    names = {"futureguide": 3, "insights": 5, "lyra": 3, "robotics": 4, "storefront": 5}
    assert up.succeed("status") == "".join(f"{name} is at {version:04d}\n" for name, version in names.items())
    assert [(one["product"], one["version"]) for one in json.loads(up.succeed("status", "--json"))] == [*names.items()]
    assert list(json.loads(up.succeed("history", "--json"))) == list(names)
    change = "UPDATE chatdb.ledger SET actor = %s WHERE sequence = 2"
    edit = ("psql", "--product", "lyra", "--role", "migrator", "--", "-c")
    up.succeed(*edit, change.replace("%s", "'nobody'"))
    done = up.chatdb("history")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        "lyra: the ledger was changed by hand at row 2 (up 0002_index_history)",
    )
    assert "storefront: what was done to this database" in done.stdout
    for command in ("status", "verify"):
        refused = up.chatdb(command)
        assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, done.stderr.splitlines()[0])
    assert up.chatdb("status").stdout.splitlines()[-2:] == ["robotics is at 0004", "storefront is at 0005"]
    up.succeed(*edit, change.replace("%s", "'lyra_migrator'"))


def test_a_second_run_while_one_is_going_is_refused_with_its_holder(up: Project) -> None:
    """The lock names who holds it; nothing is changed."""
    script = (
        "import sys, time; from pathlib import Path; from embedded import lock\n"
        "with lock.hold(Path('.chatdb/dev'), stack='dev', operation='up'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=up.folder,
        env=up.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    done = up.chatdb("up", "--stack", "dev", "--yes")
    holder.communicate()
    assert done.returncode == 1
    assert "stack dev is locked by another run" in done.stderr
    assert f"`up` by process {holder.pid} on " in done.stderr


def test_down_stops_the_server_and_up_goes_on_where_it_was(up: Project) -> None:
    """Rows written before the stop are there after the start."""
    insert = "INSERT INTO users (id) VALUES ('00000000-0000-0000-0000-000000000001') ON CONFLICT DO NOTHING"
    up.succeed("psql", "--product", "lyra", "--role", "migrator", "--", "-c", insert)
    up.succeed("down", "--stack", "dev")
    assert "is not running" in up.succeed("server", "status", "--stack", "dev")
    stopped = up.chatdb("status", "--product", "lyra")
    assert stopped.returncode == 1
    assert "HINT: Start it: chatdb server start --stack dev" in stopped.stderr
    assert up.succeed("up", "--stack", "dev", "--yes").startswith("nothing to do: ")
    count = up.succeed("psql", "--product", "lyra", "--role", "migrator", "--", "-Atc", "SELECT count(*) FROM users")
    assert count == "1\n"


def test_a_server_that_was_killed_is_started_again(up: Project) -> None:
    """As after a power cut: its pid file is there, its process is not."""
    data = up.folder / ".chatdb/dev/server/data"
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.1)
    assert up.succeed("up", "--stack", "dev", "--yes").startswith("nothing to do: ")


def test_destroy_removes_what_up_made_and_nothing_else(project: Project) -> None:
    """Databases, roles, server and its folder go; the project's files stay."""
    project.succeed("up", "--stack", "dev", "--yes")
    before = sorted(path.relative_to(project.folder) for path in project.folder.glob("*") if path.name != ".chatdb")
    pid = int((project.folder / ".chatdb/dev/server/data/postmaster.pid").read_text().splitlines()[0])
    project.succeed("destroy", "--stack", "dev", "--yes")
    assert not (project.folder / ".chatdb/dev").exists()
    assert not is_running(pid)
    after = sorted(path.relative_to(project.folder) for path in project.folder.glob("*") if path.name != ".chatdb")
    assert before == after
    assert "nothing to destroy" in project.succeed("destroy", "--stack", "dev", "--yes")
