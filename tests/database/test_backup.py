"""Backups of a live database: proven before they count, whole under row security, restored as they were dumped."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql

from embedded.server import ServerFile
from infra import products, verification
from infra.aws import Access
from infra.backup import comparison, reading, restoring, row_security
from infra.backup.errors import BackupError, CorruptedBackupError, NotProvenError, StoreError
from infra.backup.manifest import Manifest
from infra.backup.store import open_backup
from infra.connection import Target, connect
from infra.errors import ChatdbError
from infra.migrations import snapshot
from tests.support.backups import CONVERSATIONS, FOLDERS, PEOPLE, fill, left, take
from tests.support.postgres import drop_database, product_database, unique
from tests.support.proxies import cutting_line

ROWS = PEOPLE * CONVERSATIONS
NEWEST = snapshot.newest(products.load("futureguide"))


@pytest.fixture(scope="module")
def filled(server: ServerFile) -> Iterator[Target]:
    """Futureguide with rows of several people, as the superuser acting as its owner."""
    with product_database(server, "futureguide") as target:
        fill(target)
        yield target


@pytest.fixture(scope="module")
def backup(filled: Target, server: ServerFile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, str]:
    """A backup of it, taken as the superuser."""
    return take(server, filled.to(role=""), tmp_path_factory.mktemp("backups"))


@pytest.fixture
def owner_login(filled: Target, server: ServerFile) -> Iterator[Target]:
    """A login that may act as the owner and is nothing else: what a managed server gives."""
    name = unique("migrator")
    with connect(server.target()) as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret' IN ROLE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(filled.role)))
    yield filled.to(user=name, password="secret")
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def forced(target: Target) -> set[bool]:
    """Return how row security stands on the product's tables."""
    query = "SELECT DISTINCT relforcerowsecurity FROM pg_class WHERE relname IN ('conversations', 'messages')"
    with connect(target) as connection:
        return {row[0] for row in connection.execute(query).fetchall()}


def restored(manifest: Manifest, place: str, server: ServerFile) -> Target:
    """Restore a backup into a database of its own."""
    name = unique("restored")
    with open_backup(place, Access()).fetched() as archive:
        restoring.restore_as(
            name,
            archive,
            manifest.sha256,
            manifest.contents,
            server.target(),
            owner=manifest.owner,
            folders=FOLDERS,
        )
    return server.target(name)


def test_a_backup_restores_rows_shape_rights_and_ledger(backup: tuple[Manifest, str], server: ServerFile) -> None:
    """Verified like the live one; row security is on and forced, and the service may what it might."""
    manifest, place = backup
    assert manifest.contents.rows["chat.conversations"] == ROWS
    assert manifest.contents.sequences == {"auth.numbers": 1}
    assert (manifest.contents.version, manifest.contents.ledger_sound) == (f"{NEWEST:04d}", True)
    assert left(Path(place).parent) == [f"{manifest.name}/{name}" for name in ("database.dump", "manifest.json")]
    target = restored(manifest, place, server)
    try:
        with connect(target) as connection:
            verification.verify(connection, products.load("futureguide"), NEWEST).require()
        assert comparison.differences(manifest.contents, reading.read(target)) == []
        assert forced(target) == {True}
    finally:
        drop_database(server, target.database)


def test_the_owner_backs_up_every_row_though_row_security_is_forced(
    owner_login: Target, server: ServerFile, tmp_path: Path
) -> None:
    """The dump holds all rows and says that it is forced; the live tables are forced again."""
    manifest, place = take(server, owner_login, tmp_path)
    assert manifest.contents.rows["chat.conversations"] >= ROWS
    assert "chatdb.unforced" not in manifest.contents.rows
    assert forced(owner_login) == {True}
    target = restored(manifest, place, server)
    try:
        assert forced(target) == {True}
    finally:
        drop_database(server, target.database)


def test_row_security_that_a_killed_backup_left_unforced_is_forced_by_the_next(
    owner_login: Target, server: ServerFile, tmp_path: Path
) -> None:
    """The note of it goes too, and is in no backup."""
    with connect(owner_login) as connection:
        row_security._unforce(connection, [("chat", "conversations"), ("chat", "messages")])
    assert forced(owner_login) == {False}
    manifest, _ = take(server, owner_login, tmp_path)
    assert forced(owner_login) == {True}
    assert "chatdb.unforced" not in manifest.contents.rows


def test_who_would_not_see_every_row_cannot_back_up(filled: Target, server: ServerFile, tmp_path: Path) -> None:
    """Never a backup with fewer rows: the service is told whose tables hide them."""
    reader = unique("reader")
    with connect(server.target(filled.database)) as connection:
        connection.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'x' IN ROLE pg_read_all_data".encode())
    try:
        with pytest.raises(BackupError, match=f"row security hides rows from {reader}") as raised:
            take(server, filled.to(role="", user=reader, password="x"), tmp_path)
    finally:
        with connect(server.target()) as connection:
            connection.execute(f"DROP ROLE {reader}".encode())
    assert "chat.conversations" in raised.value.detail
    assert left(tmp_path) == []


def test_a_backup_under_writes_holds_one_moment(filled: Target, server: ServerFile, tmp_path: Path) -> None:
    """Rows are written all the time; what was counted is what was dumped."""
    stop = threading.Event()

    def write() -> None:
        with connect(filled.to(role="")) as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO chat.conversations (user_id, title) SELECT id, 'x' FROM auth.users")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifest, _ = take(server, filled.to(role=""), tmp_path)
    finally:
        stop.set()
        writer.join()
    assert manifest.contents.rows["chat.conversations"] >= ROWS
    assert manifest.contents.rows["chat.conversations"] % PEOPLE == 0


def test_two_backups_of_one_database_at_once_are_refused(filled: Target, server: ServerFile, tmp_path: Path) -> None:
    """The second is told; the first goes on."""
    with reading.whole(filled.to(role="")), pytest.raises(BackupError, match="another backup of"):
        take(server, filled.to(role=""), tmp_path)
    assert left(tmp_path) == []


def test_a_connection_lost_half_way_leaves_nothing(owner_login: Target, server: ServerFile, tmp_path: Path) -> None:
    """Neither a backup nor unforced tables; the same command goes through afterwards."""
    passed = 0

    def cuts(piece: bytes) -> bool:
        nonlocal passed
        passed += len(piece)
        return passed > 200_000

    with cutting_line(owner_login, cuts) as line, pytest.raises(ChatdbError) as raised:
        take(server, line, tmp_path)
    assert raised.value.hint
    assert left(tmp_path) == []
    take(server, owner_login, tmp_path)
    assert forced(owner_login) == {True}


def scratches(server: ServerFile) -> int:
    """Return how many databases of unfinished restores there are."""
    with connect(server.target()) as connection:
        return connection.execute("SELECT FROM pg_database WHERE starts_with(datname, %s)", [restoring.PREFIX]).rowcount


def test_what_is_not_in_the_dump_is_found(backup: tuple[Manifest, str], server: ServerFile) -> None:
    """A row more, another value, a right less: each is named, and the scratch database is dropped."""
    manifest, place = backup
    held = manifest.contents
    more = replace(
        held,
        rows={**held.rows, "chat.conversations": ROWS + 1},
        sums={**held.sums, "auth.users": "1"},
        access=(*held.access, ("fg_user", "TRUNCATE", "table chat.messages")),
    )
    with pytest.raises(NotProvenError) as raised:
        restoring.prove(
            Path(place) / "database.dump",
            manifest.sha256,
            more,
            server.target(),
            owner=manifest.owner,
            folders=FOLDERS,
            what="the backup",
        )
    assert raised.value.differences == (
        f"auth.users has {PEOPLE} rows as expected, but not the same ones",
        f"chat.conversations has {ROWS} rows, expected {ROWS + 1} rows",
        "lost: TRUNCATE on table chat.messages for fg_user",
    )
    assert scratches(server) == 0


@pytest.mark.parametrize("damage", ["a byte", "cut off", "gone"])
def test_a_corrupted_backup_is_not_restored(
    backup: tuple[Manifest, str], server: ServerFile, tmp_path: Path, damage: str
) -> None:
    """By its SHA-256, before anything gets the name that was asked for."""
    manifest, place = backup[0], shutil.copytree(backup[1], tmp_path / "damaged")
    dump = place / "database.dump"
    whole = dump.read_bytes()
    match damage:
        case "a byte":
            dump.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
        case "cut off":
            dump.write_bytes(whole[: len(whole) // 2])
        case _:
            dump.unlink()
    with pytest.raises(CorruptedBackupError, match="is corrupted"):
        restored(manifest, str(place), server)
    assert scratches(server) == 0


def test_a_server_without_the_roles_is_told_which(backup: tuple[Manifest, str], server: ServerFile) -> None:
    """Rights would be lost without them."""
    manifest, place = backup
    held = manifest.contents
    other = replace(manifest, contents=replace(held, access=(*held.access, ("nobody_here", "USAGE", "schema chat"))))
    with pytest.raises(BackupError, match="lacks roles that the backup names") as raised:
        restored(other, place, server)
    assert raised.value.detail == "nobody_here"


def test_a_database_with_something_in_it_is_not_restored_into(
    filled: Target, backup: tuple[Manifest, str], server: ServerFile
) -> None:
    """The live one above all."""
    manifest, place = backup
    with pytest.raises(BackupError, match=f"the database {filled.database} is not empty"):
        restoring.restore_as(
            filled.database,
            Path(place) / "database.dump",
            manifest.sha256,
            manifest.contents,
            server.target(),
            owner=manifest.owner,
            folders=FOLDERS,
        )


def test_a_place_that_cannot_be_written_to_is_found_before_anything_is_dumped(
    filled: Target, server: ServerFile, tmp_path: Path
) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="backups cannot be written to"):
        take(server, filled.to(role=""), tmp_path / "file" / "backups")


def test_what_killed_backups_left_is_removed_by_the_next(filled: Target, server: ServerFile, tmp_path: Path) -> None:
    """Drafts in the folder, databases on the server; those of a run that goes on stay."""
    draft = tmp_path / "test/futureguide/.draft-of-a-killed-run"
    draft.mkdir(parents=True)
    for name in ("lock", "database.dump"):
        (draft / name).write_text("")
    names = [f"{restoring.PREFIX}{name}" for name in ("dead", "alive")]
    with connect(server.target()) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    with connect(server.target(names[1])):
        take(server, filled.to(role=""), tmp_path)
        with connect(server.target()) as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", [names]).fetchall()
    drop_database(server, names[1])
    assert found == [(names[1],)]
    assert not draft.exists()


def test_a_full_disk_under_a_backup_leaves_nothing(filled: Target, server: ServerFile, tmp_path: Path) -> None:
    """What is full is named, with how much is free; with room again the same goes through."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(StoreError, match="the backup cannot be written to") as raised:
            take(server, filled.to(role=""), disk)
        assert left(disk) == []
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        take(server, filled.to(role=""), disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert raised.value.detail == "No space left on device; 0 MB are free there"


def test_a_backup_of_the_oldest_major_restores_there(major_server: Callable[[int], ServerFile], tmp_path: Path) -> None:
    """The package's pg_restore is newer and sets what PostgreSQL 14 does not know; nothing else may fail."""
    old = major_server(14)
    with product_database(old, "futureguide") as target:
        fill(target)
        manifest, place = take(old, target.to(role=""), tmp_path)
        assert manifest.server_version.startswith("14.")
        again = restored(manifest, place, old)
        try:
            assert comparison.differences(manifest.contents, reading.read(again)) == []
        finally:
            drop_database(old, again.database)
