"""What a migration file may look like, and the sentence for each that may not."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.migrations import directory, errors, filename
from infra.migrations.failures import FolderError
from infra.products import PROJECT_ROOT
from tests.support.migration_files import file

GOOD = file("CREATE TABLE a (id int);", "DROP TABLE a;")

UNCHANGED = "\nSTATE: Nothing was changed."


def test_the_sections_and_lines_are_found() -> None:
    """What stands above, in and below the markers is taken byte for byte, with the line each section begins on."""
    text = "-- why\n\n-- migrate:up transaction:false\nSELECT 1;\n\n--migrate:down transaction:true\nSELECT 2;"
    made = filename.parse("0012_why.sql", text)
    assert (made.version, made.name, made.label, made.text) == (12, "0012_why", "0012", text)
    assert (made.up, made.up_line, made.transactional) == ("SELECT 1;\n\n", 4, False)
    assert (made.down, made.down_line, made.down_transactional) == ("SELECT 2;", 7, True)


def test_the_checksum_is_over_the_bytes() -> None:
    """Line ends and letters beyond ASCII count as they are on disk."""
    text = "-- migrate:up\r\nSELECT 'é';\r\n-- migrate:down\r\n"
    assert filename.parse("0001_a.sql", text).checksum == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_windows_line_ends_are_no_obstacle() -> None:
    """A marker may end in a carriage return."""
    made = filename.parse(
        "0001_a.sql", "-- migrate:up transaction:false\r\nSELECT 1;\r\n-- migrate:down\r\nSELECT 2;\r\n"
    )
    assert (made.up, made.down, made.transactional) == ("SELECT 1;\r\n", "SELECT 2;\r\n", False)


NAMES = (
    "1_a.sql",
    "001_a.sql",
    "0000_a.sql",
    "00001_a.sql",
    "0001-a.sql",
    "0001_A.sql",
    "0001_.sql",
    "0001_a.SQL",
    "0001_a.sql.bak",
    "a.sql",
    "README.md",
    "0001_ü.sql",
    "٠٠٠١_a.sql",
    "0001_a.sql\n",
    "",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_refused(name: str) -> None:
    """Only NNNN_name.sql is a migration; anything else in the folder is a mistake, never skipped in silence."""
    with pytest.raises(errors.BadNameError) as caught:
        filename.parse(name, GOOD)
    assert str(caught.value) == (
        f"{name!r} is not a name for a migration\n"
        "DETAIL: a migration is named NNNN_name.sql: four digits or more from 0001 on, lower-case letters, digits and "
        "underscores\n"
        "HINT: Rename it, as in 0002_add_reactions.sql, or move it out of the folder." + UNCHANGED
    )


@pytest.mark.parametrize("name", ["0001_a.sql", "9999_a_b_2.sql", "10000_a.sql", "0042_2nd.sql"])
def test_a_good_name_is_taken(name: str) -> None:
    """Four digits, more from 10000 on."""
    assert filename.parse(name, GOOD).name == name.removesuffix(".sql")


TEXTS = {
    "no up": (
        "SELECT 1;\n-- migrate:down\n",
        errors.BadSectionError,
        "migration 0001_a has a section marker that cannot be used at line 2\n"
        "DETAIL: `-- migrate:down` stands before `-- migrate:up`\n"
        "HINT: Write `-- migrate:up` once, then `-- migrate:down` once, each alone or with `transaction:false`.",
    ),
    "no section": (
        "SELECT 1;\n",
        errors.MissingSectionError,
        "migration 0001_a has no `-- migrate:up` section\n"
        "DETAIL: a file holds `-- migrate:up`, the statements, `-- migrate:down`, and the statements that undo them\n"
        "HINT: Add the line `-- migrate:up` before its statements.",
    ),
    "no down": (
        "-- migrate:up\nSELECT 1;\n",
        errors.MissingSectionError,
        "migration 0001_a has no `-- migrate:down` section\n"
        "DETAIL: a file holds `-- migrate:up`, the statements, `-- migrate:down`, and the statements that undo them\n"
        "HINT: Add the line `-- migrate:down`; leave it empty where there is no way back.",
    ),
    "twice up": (
        "-- migrate:up\nSELECT 1;\n-- migrate:up\n-- migrate:down\n",
        errors.BadSectionError,
        "migration 0001_a has a section marker that cannot be used at line 3\n"
        "DETAIL: `-- migrate:up` stands a second time\n"
        "HINT: Write `-- migrate:up` once, then `-- migrate:down` once, each alone or with `transaction:false`.",
    ),
    "unknown option": (
        "-- migrate:up transaction:no\nSELECT 1;\n-- migrate:down\n",
        errors.BadSectionError,
        "migration 0001_a has a section marker that cannot be used at line 1\n"
        "DETAIL: there is no option 'transaction:no'\n"
        "HINT: Write `-- migrate:up` once, then `-- migrate:down` once, each alone or with `transaction:false`.",
    ),
    "unknown section": (
        "-- migrate:up\nSELECT 1;\n-- migrate:undo\n",
        errors.BadSectionError,
        "migration 0001_a has a section marker that cannot be used at line 3\n"
        "DETAIL: there is no section 'undo'\n"
        "HINT: Write `-- migrate:up` once, then `-- migrate:down` once, each alone or with `transaction:false`.",
    ),
    "statements above": (
        "-- c\n\nSELECT 0;\n-- migrate:up\nSELECT 1;\n-- migrate:down\n",
        errors.StrayTextError,
        "migration 0001_a has statements before `-- migrate:up` at line 3\n"
        "DETAIL: only comments may stand there: everything before the first section is left out\n"
        "HINT: Move them below `-- migrate:up`.",
    ),
    "empty up": (
        "-- migrate:up\n  /* nothing */ ; -- yet\n-- migrate:down\nSELECT 1;\n",
        errors.EmptyUpError,
        "migration 0001_a does nothing\n"
        "DETAIL: its up section holds no statement\n"
        "HINT: Write its statements below `-- migrate:up`, or remove the file.",
    ),
    "NUL": (
        "-- migrate:up\nSELECT '\0';\n-- migrate:down\n",
        errors.BadTextError,
        "0001_a.sql is not UTF-8 text\n"
        "DETAIL: it holds a NUL character\n"
        "HINT: Save it as UTF-8 without a byte order mark.",
    ),
    "byte order mark": (
        "\ufeff-- migrate:up\nSELECT 1;\n-- migrate:down\n",
        errors.BadTextError,
        "0001_a.sql is not UTF-8 text\n"
        "DETAIL: it begins with a byte order mark\n"
        "HINT: Save it as UTF-8 without a byte order mark.",
    ),
    "lone surrogate": (
        "-- migrate:up\nSELECT '\ud800';\n-- migrate:down\n",
        errors.BadTextError,
        "0001_a.sql is not UTF-8 text\n"
        "DETAIL: it holds the lone surrogate '\\ud800'\n"
        "HINT: Save it as UTF-8 without a byte order mark.",
    ),
}


@pytest.mark.parametrize(("text", "kind", "sentence"), TEXTS.values(), ids=TEXTS)
def test_a_bad_text_is_refused(text: str, kind: type[errors.MigrationError], sentence: str) -> None:
    """Each mistake in a file's sections is an error of its own that says where and what to do."""
    with pytest.raises(kind) as caught:
        filename.parse("0001_a.sql", text)
    assert str(caught.value) == sentence + UNCHANGED


CODE = {
    "": False,
    " -- one\n;\n/* two */ ": False,
    "/* a /* nested */ one */": False,
    "/* a /* nested */ one */ SELECT 1": True,
    "/* one /* that */ is not closed": True,
    "/* one */" * 3000: False,
}


@pytest.mark.parametrize(("text", "code"), CODE.items(), ids=[text[:20] for text in CODE])
def test_comments_are_told_from_statements_as_the_server_does(text: str, *, code: bool) -> None:
    """Above the first section only comments may stand, nested ones too."""
    assert filename.has_code(text) is code


def test_all_mistakes_are_told_together() -> None:
    """One round of mending is enough."""
    with pytest.raises(errors.SeveralMistakesError) as caught:
        filename.parse_all({"0001_a.sql": "SELECT 1;", "x.sql": GOOD, "0002_a.sql": GOOD, "0002_b.sql": GOOD})
    assert [type(mistake) for mistake in caught.value.mistakes] == [
        errors.MissingSectionError,
        errors.BadNameError,
        errors.DuplicateVersionError,
    ]
    assert str(caught.value).splitlines()[:3] == [
        "3 mistakes in the migrations",
        "DETAIL: ",
        "  1. migration 0001_a has no `-- migrate:up` section",
    ]


def test_two_files_of_one_number_are_refused() -> None:
    """Which of them was meant cannot be known."""
    with pytest.raises(errors.DuplicateVersionError) as caught:
        filename.parse_all({"0001_a.sql": GOOD, "0002_b.sql": GOOD, "0001_c.sql": GOOD})
    assert str(caught.value) == (
        "version 0001 is used by 2 files\n"
        "DETAIL: 0001_a, 0001_c\n"
        "HINT: Give the one that is not applied anywhere the number 0003." + UNCHANGED
    )


def test_a_folder_is_read_in_order_and_byte_for_byte(tmp_path: Path) -> None:
    """Hidden files, backups of editors and folders are no migrations; carriage returns stay."""
    (tmp_path / "10000_z.sql").write_bytes(GOOD.encode())
    (tmp_path / "0002_b.sql").write_bytes(GOOD.replace("\n", "\r\n").encode())
    (tmp_path / "0001_a.sql").write_bytes(GOOD.encode())
    (tmp_path / ".0003_c.sql.swp").write_bytes(b"\xff")
    (tmp_path / "0001_a.sql~").write_bytes(b"\xff")
    (tmp_path / "old").mkdir()
    read = directory.read(tmp_path)
    assert [migration.name for migration in read] == ["0001_a", "0002_b", "10000_z"]
    assert read[1].text == GOOD.replace("\n", "\r\n")


def test_a_file_that_is_not_utf_8_is_named_with_the_byte(tmp_path: Path) -> None:
    """The place of the byte leads to the letter."""
    (tmp_path / "0001_a.sql").write_bytes(b"-- migrate:up\nSELECT '\xe9';")
    with pytest.raises(errors.BadTextError) as caught:
        directory.read(tmp_path)
    assert caught.value.detail == "byte 22 is 0xe9"


def test_a_link_to_nothing_is_not_left_out(tmp_path: Path) -> None:
    """It was meant as a migration, and the one it led to is gone."""
    (tmp_path / "0001_a.sql").symlink_to(tmp_path / "nowhere.sql")
    with pytest.raises(FolderError, match=r"cannot read the migrations in .*/0001_a\.sql"):
        directory.read(tmp_path)


def test_git_changes_no_line_end_of_a_migration(tmp_path: Path) -> None:
    """Also where it is told to: a changed byte is a changed checksum, and every database would refuse the file."""

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "core.autocrlf=true", *arguments], check=True, capture_output=True)

    shutil.copy(PROJECT_ROOT / ".gitattributes", tmp_path)
    file = tmp_path / "schema" / "lyra" / "migrations" / "0001_a.sql"
    file.parent.mkdir(parents=True)
    file.write_bytes(GOOD.encode())
    git("init")
    git("add", ".")
    file.unlink()
    git("checkout", "--", ".")
    assert file.read_bytes() == GOOD.encode()


def test_a_missing_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    """No traceback for a path that is wrong."""
    with pytest.raises(FolderError) as caught:
        directory.read(tmp_path / "none")
    assert str(caught.value) == (
        f"cannot read the migrations in {tmp_path / 'none'}\n"
        "DETAIL: No such file or directory\n"
        "HINT: Check the path and its permissions." + UNCHANGED
    )
