"""The embedded PostgreSQL: made, started, stopped, killed, removed."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import account, programs
from embedded.server import EmbeddedServer, ServerFile
from infra.connection import connect
from infra.errors import ChatdbError, ConnectionFailedError
from infra.products import PROJECT_ROOT
from tests.support.postgres import UNSAFE_BUT_QUICK
from tests.support.provider import rows, statements


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may pass through; what is in it is stopped and removed at the end."""
    made = Path("/tmp") / f"chatdb-test-server-{os.getpid()}"  # noqa: S108 - pytest's own are closed to other accounts
    made.mkdir(mode=0o755)
    yield made
    for made_in in (made, made / "closed"):
        EmbeddedServer(made_in / "server").destroy()
    shutil.rmtree(made)


@pytest.fixture
def own(folder: Path) -> EmbeddedServer:
    """A server that has not been made yet."""
    return EmbeddedServer(folder / "server", settings=UNSAFE_BUT_QUICK)


def postmaster(own: EmbeddedServer) -> int:
    """Return the process id that PostgreSQL wrote down."""
    return int((own.data_directory / "postmaster.pid").read_text(encoding="utf-8").split()[0])


def kill(own: EmbeddedServer) -> None:
    """Kill the postmaster and wait until the system has taken it down."""
    pid = postmaster(own)
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        while Path(f"/proc/{pid}/cmdline").read_bytes():
            time.sleep(0.01)


def test_a_server_is_made_started_stopped_and_started_with_its_data_and_port(own: EmbeddedServer) -> None:
    said: list[str] = []
    first = own.start(said.append)
    assert said == ["making a PostgreSQL data directory", "starting PostgreSQL"]
    statements(first.target(), "CREATE TABLE kept ()")
    assert own.running()
    own.stop()
    assert not own.running()
    own.stop()  # a second time is no error
    said.clear()
    assert own.start(said.append) == first
    assert said == ["starting PostgreSQL"]
    assert rows(first.target(), "SELECT relname FROM pg_class WHERE relname = 'kept'") == [("kept",)]
    said.clear()
    assert own.start(said.append) == first
    assert said == []


def test_its_file_is_for_the_invoking_user_alone(own: EmbeddedServer) -> None:
    server = own.start()
    file = own.folder / "server.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_uid == os.geteuid()
    assert json.loads(file.read_text(encoding="utf-8"))["password"] == server.password
    assert server.password not in repr(server)
    assert [path.name for path in own.folder.iterdir() if path.suffix == ""] == ["data"]


def test_it_listens_on_loopback_with_scram_and_nothing_else(own: EmbeddedServer) -> None:
    target = own.start().target()
    settings = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name"
    wanted = {
        "fsync": "off",  # the tests' own
        "listen_addresses": "127.0.0.1",
        "log_statement": "none",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "TimeZone": "UTC",
        "unix_socket_directories": "",
    }
    assert dict(rows(target, settings, list(wanted))) == wanted
    access = "SELECT type, address, netmask, auth_method FROM pg_hba_file_rules"
    assert rows(target, access) == [("host", "127.0.0.1", "255.255.255.255", "scram-sha-256")]
    with pytest.raises(ConnectionFailedError, match="cannot connect"):
        connect(target.to(password="wrong"))


def test_letters_have_case_without_any_locale_on_the_machine(own: EmbeddedServer) -> None:
    """The rules come with PostgreSQL itself; under locale C nothing but ASCII would have case."""
    target = own.start().target()
    query = "SELECT datlocprovider, upper('é') FROM pg_database WHERE datname = current_database()"
    assert rows(target, query) == [("b", "É")]


def test_a_secret_in_a_failed_statement_is_not_in_the_log(own: EmbeddedServer) -> None:
    target = own.start().target()
    with pytest.raises(psycopg.errors.UndefinedObject):
        statements(target, "ALTER ROLE nobody_here PASSWORD 'do-not-log-me'")
    log = own.log_file.read_text(encoding="utf-8")
    assert "nobody_here" in log
    assert "do-not-log-me" not in log


@pytest.mark.parametrize("reused", [False, True], ids=["its process id is free", "its process id is another's"])
def test_after_a_kill_it_starts_again_with_what_was_committed(own: EmbeddedServer, reused: bool) -> None:  # noqa: FBT001
    """After a reboot the process id in postmaster.pid may belong to any process, this very one for instance."""
    target = own.start().target()
    statements(target, "CREATE TABLE kept ()")
    kill(own)
    if reused:
        file = own.data_directory / "postmaster.pid"
        lines = file.read_text(encoding="utf-8").split("\n")
        file.write_text("\n".join([str(os.getpid()), *lines[1:]]), encoding="utf-8")
        assert not own.running()
        own.stop()  # ends nobody's process
    target = own.start().target()
    assert rows(target, "SELECT relname FROM pg_class WHERE relname = 'kept'") == [("kept",)]


def test_a_taken_port_is_replaced_and_written_down(own: EmbeddedServer) -> None:
    first = own.start()
    own.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.port))
        taken.listen()
        second = own.start()
        assert second.port != first.port
        assert own.read() == second
        assert rows(second.target(), "SELECT 1") == [(1,)]


def test_a_port_is_taken_from_below_those_of_outgoing_connections() -> None:
    """Of those, one that a stopped server had may be an outgoing connection's when it starts again."""
    ports = {programs.free_port() for _ in range(20)}
    assert len(ports) > 1
    assert ports <= set(programs.SERVER_PORTS)


def test_of_two_starts_at_once_one_makes_it_and_the_other_finds_it(own: EmbeddedServer) -> None:
    found: list[ServerFile] = []
    said: list[str] = []
    runs = [EmbeddedServer(own.folder, settings=UNSAFE_BUT_QUICK) for _ in range(3)]
    threads = [threading.Thread(target=lambda run=run: found.append(run.start(said.append))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [own.read()] * 3
    assert sorted(said) == ["making a PostgreSQL data directory", "starting PostgreSQL"]


def test_a_start_killed_half_way_is_finished_by_the_next(own: EmbeddedServer) -> None:
    """server.json was written and initdb was not through: what it left is no data, and is made anew."""
    own.start()
    own.stop()
    before = own.read()
    own._write(ServerFile(**{**json.loads((own.folder / "server.json").read_text()), "initialised": False}))
    (own.data_directory / "PG_VERSION").unlink()
    assert own.start() == before


def test_it_outlives_its_maker_and_holds_no_pipe_open(own: EmbeddedServer) -> None:
    """A pipe's reader waits until every writer has closed: `make up | cat` would hang."""
    script = "import sys; from pathlib import Path; from embedded.server import EmbeddedServer; "
    script += "print(EmbeddedServer(Path(sys.argv[1])).start().port)"
    command = [sys.executable, "-c", script, str(own.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT_ROOT, timeout=60)
    assert int(done.stdout) == own.read().port
    assert os.getpgid(postmaster(own)) != os.getpgid(0)
    assert own.running()


def test_destroy_removes_what_start_made_and_nothing_else(own: EmbeddedServer) -> None:
    own.start()
    pid = postmaster(own)
    (own.folder / "notes.txt").write_text("mine", encoding="utf-8")
    own.destroy()
    assert [path.name for path in own.folder.iterdir()] == ["notes.txt"]
    assert not Path(f"/proc/{pid}/exe").exists()
    own.destroy()  # a second time is no error
    (own.folder / "notes.txt").unlink()
    own.start()
    own.destroy()
    assert not own.folder.exists()


def test_without_its_file_the_data_is_left_alone(own: EmbeddedServer) -> None:
    own.start()
    own.stop()
    kept = (own.folder / "server.json").rename(own.folder / "kept.json")
    with pytest.raises(ChatdbError, match="a data directory stands here"):
        own.start()
    kept.rename(own.folder / "server.json")
    own.start()


def test_destroy_without_its_file_removes_nothing(own: EmbeddedServer) -> None:
    """A folder named `data` may be anybody's."""
    (own.folder / "data").mkdir(parents=True)
    own.destroy()
    assert [path.name for path in own.folder.iterdir()] == ["data"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 5432}', '{"nonsense": 1}'])
def test_a_file_that_cannot_be_read_is_said_so(own: EmbeddedServer, text: str) -> None:
    own.folder.mkdir()
    (own.folder / "server.json").write_text(text, encoding="utf-8")
    with pytest.raises(ChatdbError, match=r"server\.json cannot be read"):
        own.start()
    (own.folder / "server.json").unlink()


def test_where_there_is_no_server_it_is_said_so(own: EmbeddedServer) -> None:
    assert not own.running()
    own.stop()
    with pytest.raises(ChatdbError, match="there is no embedded server here"):
        own.read()


def test_a_failing_program_is_named_with_the_end_of_its_log(own: EmbeddedServer) -> None:
    broken = EmbeddedServer(own.folder, settings={"max_connections": "no number"})
    with pytest.raises(ChatdbError) as raised:
        broken.start()
    assert raised.value.message == "PostgreSQL's pg_ctl failed"
    assert 'invalid value for parameter "max_connections"' in raised.value.detail
    assert own.start().port > 0


def test_missing_programs_are_named(own: EmbeddedServer) -> None:
    with pytest.raises(ChatdbError, match="there are no PostgreSQL programs"):
        EmbeddedServer(own.folder, bin_folder=own.folder / "nowhere").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
class TestAsRoot:
    """PostgreSQL refuses to run as root: it runs as another account, which may be kept out of the project's folder."""

    def test_a_folder_closed_to_the_account_gets_a_home_outside_that_destroy_removes(self, folder: Path) -> None:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        own = EmbeddedServer(closed / "server", settings=UNSAFE_BUT_QUICK)
        server = own.start()
        home = Path(server.home)
        assert account.HOME_NAME.fullmatch(home.name)
        assert home.parent in account.BASES
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert home.stat().st_uid == account.choose(own.folder).uid
        assert Path(server.bin_folder).is_relative_to(home)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        kill(own)
        assert own.start() == server
        own.destroy()
        assert not home.exists()
        assert not own.folder.exists()

    def test_a_home_that_was_not_made_here_is_not_removed(self, own: EmbeddedServer, folder: Path) -> None:
        server = own.start()
        own.stop()
        mine = folder / "mine"
        (mine / "data").mkdir(parents=True)
        own._write(ServerFile(**{**json.loads((own.folder / "server.json").read_text()), "home": str(mine)}))
        with pytest.raises(ChatdbError, match="is not removed"):
            own.destroy()
        assert (mine / "data").exists()
        own._write(server)

    def test_the_account_is_the_folders_owner_where_that_is_not_root(self, folder: Path) -> None:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        assert account.choose(folder / "not" / "there").name == "nobody"
        own = EmbeddedServer(folder / "server", settings=UNSAFE_BUT_QUICK)
        own.start()
        assert own.data_directory.stat().st_uid == nobody.pw_uid
        assert Path(f"/proc/{postmaster(own)}").stat().st_uid == nobody.pw_uid
