"""The disk fills up while a run is on: it says so and where things stand; with room again the next run goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.server import EmbeddedServer
from infra.connection import connect
from infra.errors import ConnectionFailedError
from infra.migrations import filename, runner
from infra.migrations.failures import MigrationFailedError
from infra.migrations.options import Options
from tests.support import postgres
from tests.support.migration_files import file
from tests.support.mixed import MIXED, shape

ROWS = 40_000  # of a kilobyte each
MUCH = f"INSERT INTO table_2 SELECT n, repeat('x', 1000) FROM generate_series(1, {ROWS}) AS n;"


SIZE_MIB = 400


class SmallDisk:
    """A file system of its own at `path`, which can be filled up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, left_mib: int) -> None:
        """Fill it up but for so much."""
        with self._ballast.open("wb") as ballast, contextlib.suppress(OSError):
            while os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize > left_mib << 20:
                os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, 1 << 16)

    def make_room(self) -> None:
        self._ballast.unlink()

    def give(self, folder: Path, data: Path) -> Path:
        """Give a folder on it to the account that owns the data directory."""
        owner = data.stat()
        for each in (folder, *folder.rglob("*")):
            os.chown(each, owner.st_uid, owner.st_gid)
        return folder


@pytest.fixture(scope="module")
def small_disk() -> Iterator[tuple[EmbeddedServer, SmallDisk]]:
    """A server, running, and a small disk that holds nothing of it yet."""
    folder = Path(tempfile.mkdtemp(prefix="chatdb-tests-"))
    with postgres.own_server(folder=folder) as embedded:
        disk = folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "chatdb-tests", str(disk)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
        embedded.start()
        yield embedded, SmallDisk(disk)


def with_much(options: str) -> dict[str, str]:
    return {**MIXED, "0007_much.sql": file(MUCH, "", options=options), "0008_last.sql": file("SELECT 1;")}


def undisturbed(files: dict[str, str], embedded: EmbeddedServer) -> list[tuple[object, ...]]:
    """Return what a run leaves that has room enough."""
    with postgres.fresh_database(embedded.read()) as quiet:
        runner.apply(quiet, filename.parse_all(files), options=Options())
        return shape(quiet)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ("", "0007 left nothing behind"),
        ("transaction:false", "the next run goes on at its statement 1"),
    ],
    ids=["transactional", "online"],
)
def test_where_the_tables_find_no_room_the_run_says_so_and_the_next_one_goes_on(
    small_disk: tuple[EmbeddedServer, SmallDisk], options: str, left: str
) -> None:
    """The database and its ledger lie on the disk that is full; the server itself goes on."""
    embedded, disk = small_disk
    files = with_much(options)
    name = postgres.unique("filling")
    place = disk.path / name
    place.mkdir(mode=0o700)
    disk.give(place, embedded.data_directory)
    with connect(embedded.read().target()) as connection:
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        connection.execute(f"CREATE DATABASE {name} TABLESPACE {name}")
    target = embedded.read().target(name)
    disk.fill(left_mib=12)
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(target, filename.parse_all(files), options=Options())
    error = caught.value
    assert error.message == "migration 0007_much failed at line 2"
    assert error.detail.startswith('0007_much.sql:2: could not extend file "')
    assert error.detail.endswith('": No space left on device')
    assert error.hint == "The server's disk is full: free space, then run the same command again."
    assert error.state == f"applied 0001 to 0006; failed 0007 at line 2; {left}; pending 0008."
    disk.make_room()
    assert runner.apply(target, filename.parse_all(files), options=Options()).version == 8
    assert shape(target) == undisturbed(files, embedded)
    postgres.drop_database(embedded.read(), name)


def test_where_the_log_finds_no_room_the_server_goes_down_and_the_run_goes_on_once_it_is_back(
    small_disk: tuple[EmbeddedServer, SmallDisk],
) -> None:
    """PostgreSQL panics where it cannot write its log ahead, and cannot recover until there is room."""
    embedded, disk = small_disk
    files = with_much("transaction:false")
    expected = undisturbed(files, embedded)
    log = embedded.data_directory / "pg_wal"
    embedded.stop()
    shutil.move(log, disk.path)
    log.symlink_to(disk.give(disk.path / "pg_wal", embedded.data_directory))
    embedded.start()
    with postgres.fresh_database(embedded.read()) as target:
        with connect(target) as connection:
            # No segment of the log is used again, and none stands ready.
            connection.execute("SELECT pg_create_physical_replication_slot('kept', true)")
            for _ in range(8):
                connection.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'test', 'next')")
        disk.fill(left_mib=0)
        with pytest.raises(ConnectionFailedError) as caught:
            runner.apply(target, filename.parse_all(files), options=Options(reconnect_s=2))
        error = caught.value
        assert error.message == f"the connection to {target.label} was lost"
        assert "; since then: connection failed: " in error.detail
        assert error.hint.startswith("The server's log says why it went: a full disk, a crash, a restart. Once it is")
        assert error.state.endswith("0007_much was under way: the ledger says what stands")
        disk.make_room()
        embedded.start()
        with connect(target) as connection:
            connection.execute("SELECT pg_drop_replication_slot('kept')")
        assert runner.apply(target, filename.parse_all(files), options=Options()).version == 8
        assert shape(target) == expected
