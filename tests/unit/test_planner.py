"""Files and a ledger in, a plan or an error out: every error with its whole sentence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from infra.migrations import errors, planner, statements
from infra.migrations.filename import parse
from infra.migrations.model import LedgerRow, Migration
from tests.support.migration_files import file, made, row

ONE, TWO, THREE, FOUR = made("0001_a"), made("0002_b"), made("0003_c"), made("0004_d")
ONLINE = made("0002_b", "SELECT 1;\nSELECT 2;\nSELECT 3;", options="transaction:false")

UNCHANGED = "\nSTATE: Nothing was changed."


def half_done(migration: Migration, done: int, direction: str = "up") -> LedgerRow:
    """Return the unfinished row of a file that has come so far."""
    parts = statements.split(migration, direction)
    return row(
        migration,
        2,
        direction,
        finished_at=None,
        statements_begun=done,
        statements_done=done,
        statements_total=len(parts),
        statements_digest=statements.digest(parts, done),
    )


def names(migrations: Sequence[Migration]) -> list[str]:
    return [migration.name for migration in migrations]


PLANS = {
    "nothing yet": ([], None, [], ["0001_a", "0002_b", "0003_c"], 0, 3),
    "one applied": ([row(ONE, 1)], None, ["0001_a"], ["0002_b", "0003_c"], 1, 3),
    "up to two": ([row(ONE, 1)], 2, ["0001_a"], ["0002_b"], 1, 2),
    "all applied": ([row(ONE, 1), row(TWO, 2), row(THREE, 3)], None, ["0001_a", "0002_b", "0003_c"], [], 3, 3),
    "undone again": ([row(ONE, 1), row(TWO, 2), row(TWO, 3, "down")], None, ["0001_a"], ["0002_b", "0003_c"], 1, 3),
    "baselined": ([row(ONE, 1, "baseline"), row(TWO, 2, "baseline")], None, ["0001_a", "0002_b"], ["0003_c"], 2, 3),
    "here already": ([row(ONE, 1), row(TWO, 2)], 2, ["0001_a", "0002_b"], [], 2, 2),
}


@pytest.mark.parametrize(("rows", "to", "applied", "pending", "version", "target"), PLANS.values(), ids=PLANS)
def test_the_plan_is_what_the_ledger_lacks(
    rows: list[LedgerRow], to: int | None, applied: list[str], pending: list[str], version: int, target: int
) -> None:
    """What is applied, what is pending, from where to where."""
    plan = planner.plan([ONE, TWO, THREE], rows, to=to)
    assert (names(plan.applied), names(plan.pending)) == (applied, pending)
    assert (plan.version, plan.target, plan.resumed) == (version, target, None)


def test_a_file_that_is_half_done_comes_first_and_keeps_its_row() -> None:
    """The run goes on where the last one was cut short."""
    half = half_done(ONLINE, 1)
    plan = planner.plan([ONE, ONLINE, THREE], [row(ONE, 1), half])
    assert (names(plan.applied), names(plan.pending), plan.resumed) == (["0001_a"], ["0002_b", "0003_c"], half)


def test_the_undone_part_of_a_half_done_file_may_be_mended() -> None:
    """The statement that failed is what has to change."""
    mended = made("0002_b", "SELECT 1;\n-- mended\nSELECT 22;", options="transaction:false")
    half = half_done(ONLINE, 1)
    plan = planner.plan([ONE, mended, THREE], [row(ONE, 1), half])
    assert (names(plan.pending), plan.resumed) == (["0002_b", "0003_c"], half)


def test_the_very_first_file_may_be_mended_too_and_gets_a_better_name() -> None:
    """It is no other product's: nothing is applied yet that could tell."""
    half = half_done(made("0001_a", "SELECT 1;\nSELECT 2;", options="transaction:false"), 1)._replace(sequence=1)
    mended = made("0001_better", "SELECT 1;\nSELECT 22;", options="transaction:false")
    plan = planner.plan([mended, TWO], [half])
    assert (names(plan.pending), plan.resumed) == (["0001_better", "0002_b"], half)


EDITED = made("0001_a", "SELECT 100;")
CASES = {
    "edited": (
        [EDITED, TWO, THREE],
        [row(ONE, 1), row(TWO, 2)],
        errors.EditedMigrationError,
        "migration 0001_a was changed after it was applied\n"
        f"DETAIL: applied as {ONE.checksum[:19]}… on 2026-08-02 10:14 UTC; the file is now {EDITED.checksum[:19]}…\n"
        "HINT: Restore the file and put the change in a new migration, 0004_….sql.",
    ),
    "line ends changed": (
        [parse("0001_a.sql", ONE.text.replace("\n", "\r\n")), TWO],
        [row(ONE, 1)],
        errors.LineEndsError,
        "the line ends of migration 0001_a were changed after it was applied\n"
        "DETAIL: but for them it is what was applied on 2026-08-02 10:14 UTC; now they are CR LF\n"
        "HINT: Check the file out as it was committed: `*.sql -text` in .gitattributes keeps git from changing it.",
    ),
    "line ends changed back": (
        [ONE, TWO],
        [row(parse("0001_a.sql", ONE.text.replace("\n", "\r\n")), 1)],
        errors.LineEndsError,
        "the line ends of migration 0001_a were changed after it was applied\n"
        "DETAIL: but for them it is what was applied on 2026-08-02 10:14 UTC; now they are LF\n"
        "HINT: Check the file out as it was committed: `*.sql -text` in .gitattributes keeps git from changing it.",
    ),
    "renamed": (
        [made("0001_z"), TWO],
        [row(ONE, 1), row(TWO, 2)],
        errors.RenamedMigrationError,
        "migration 0001_z was renamed after it was applied\n"
        "DETAIL: the ledger knows it as 0001_a; the contents are the same\n"
        "HINT: Name the file 0001_a.sql again.",
    ),
    "of something else": (
        [made("0001_y", "SELECT 100;"), made("0002_b", "SELECT 200;"), THREE],
        [row(ONE, 1), row(TWO, 2)],
        errors.OtherMigrationsError,
        "other migrations than these were applied to this database\n"
        "DETAIL: its ledger begins with 0001_a, the files with 0001_y, and no file is as it was applied here\n"
        "HINT: Check product and connection: this is the database of something else, or the files were all changed.",
    ),
    "late": (
        [ONE, TWO, THREE],
        [row(ONE, 1), row(THREE, 2)],
        errors.LateMigrationError,
        "migration 0002_b comes too late\n"
        "DETAIL: 0003_c is applied already, so 0002_b would run after what was built without it\n"
        "HINT: Renumber it as 0004_….sql, so that it runs last everywhere.",
    ),
    "gap": (
        [ONE, FOUR],
        [row(ONE, 1)],
        errors.NumberingGapError,
        "the numbering has a gap: 0002, 0003 are missing below 0004_d\n"
        "DETAIL: versions count up from 0001 without a gap, so that a lost file is seen\n"
        "HINT: Restore the files, or renumber the later ones where none of them is applied yet.",
    ),
    "gap of one": (
        [ONE, THREE],
        [],
        errors.NumberingGapError,
        "the numbering has a gap: 0002 is missing below 0003_c\n"
        "DETAIL: versions count up from 0001 without a gap, so that a lost file is seen\n"
        "HINT: Restore the file, or renumber the later ones where none of them is applied yet.",
    ),
    "gap at the start": (
        [made("999999999_z")],
        [],
        errors.NumberingGapError,
        "the numbering has a gap: 0001 to 999999998 are missing below 999999999_z\n"
        "DETAIL: versions count up from 0001 without a gap, so that a lost file is seen\n"
        "HINT: Restore the files, or renumber the later ones where none of them is applied yet.",
    ),
    "duplicate": (
        [ONE, made("0001_b"), TWO],
        [],
        errors.DuplicateVersionError,
        "version 0001 is used by 2 files\n"
        "DETAIL: 0001_a, 0001_b\n"
        "HINT: Give the one that is not applied anywhere the number 0003.",
    ),
    "gone": (
        [ONE, THREE],
        [row(ONE, 1), row(TWO, 2)],
        errors.MissingFileError,
        "the file of migration 0002_b is gone\n"
        "DETAIL: the ledger says it is applied\n"
        "HINT: Restore 0002_b.sql from version control; a migration that was applied is never deleted.",
    ),
    "newer": (
        [ONE],
        [row(ONE, 1), row(TWO, 2), row(THREE, 3)],
        errors.NewerLedgerError,
        "the database is ahead of these files: 0002_b, 0003_c\n"
        "DETAIL: the newest file here is 0001_a; newer code has migrated this database\n"
        "HINT: Use the newer code, or roll back with it first.",
    ),
    "edited halfway": (
        [ONE, made("0002_b", "SELECT 11;\nSELECT 2;", options="transaction:false")],
        [row(ONE, 1), half_done(ONLINE, 2)],
        errors.EditedHalfwayError,
        "migration 0002_b was changed in the part that has run already\n"
        "DETAIL: 2 of 3 statements of its up section are done, and they were other statements\n"
        "HINT: Restore the statements that are done; those after them may be mended.",
    ),
    "half rolled back": (
        [ONE, made("0002_b", "SELECT 1;", "SELECT 2;\nSELECT 3;")],
        [row(ONE, 1), half_done(made("0002_b", "SELECT 1;", "SELECT 2;\nSELECT 3;"), 1, "down")],
        errors.HalfRolledBackError,
        "migration 0002_b is half rolled back\n"
        "DETAIL: 1 of 2 statements of its down section are done\n"
        "HINT: Finish it first: `chatdb rollback --to 0001`.",
    ),
    "a pending file that cannot run": (
        [ONE, made("0002_b", "COMMIT;")],
        [row(ONE, 1)],
        errors.TransactionControlError,
        "migration 0002_b has COMMIT at line 2\n"
        "DETAIL: the file and its ledger row are one transaction already; this would break it apart\n"
        "HINT: Remove it.",
    ),
    "edited row": (
        [ONE, TWO],
        [row(ONE, 1), row(TWO, 2, chained_hash="a", expected_hash="b")],
        errors.BrokenLedgerError,
        "the ledger was changed by hand at row 2 (up 0002_b)\n"
        "DETAIL: its hash does not follow from the row before it and its own fields: it was edited, moved or forged\n"
        "HINT: Compare chatdb.ledger with a backup and `chatdb verify`, restore the row, then run again.",
    ),
    "removed row": (
        [ONE, TWO, THREE],
        [row(ONE, 1), row(THREE, 3, chained_hash="a", expected_hash="b")],
        errors.BrokenLedgerError,
        "the ledger was changed by hand at row 2\n"
        "DETAIL: removed or renumbered: row 3 (up 0003_c) follows row 1\n"
        "HINT: Compare chatdb.ledger with a backup and `chatdb verify`, restore the row, then run again.",
    ),
    "removed newest row": (
        [ONE, TWO],
        [row(ONE, 1), LedgerRow(2, 0, "", "", "removed")],
        errors.BrokenLedgerError,
        "the ledger was changed by hand at row 2\n"
        "DETAIL: chatdb.head knows it as the newest; it was removed\n"
        "HINT: Compare chatdb.ledger with a backup and `chatdb verify`, restore the row, then run again.",
    ),
    "unfinished row in the middle": (
        [ONE, TWO],
        [row(ONE, 1, finished_at=None), row(TWO, 2)],
        errors.BrokenLedgerError,
        "the ledger was changed by hand at row 1 (up 0001_a)\n"
        "DETAIL: it is unfinished, yet rows follow\n"
        "HINT: Compare chatdb.ledger with a backup and `chatdb verify`, restore the row, then run again.",
    ),
}


@pytest.mark.parametrize(("migrations", "rows", "kind", "sentence"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_an_error_of_its_own(
    migrations: list[Migration], rows: list[LedgerRow], kind: type[errors.MigrationError], sentence: str
) -> None:
    """Each says what happened, why, and what to do."""
    with pytest.raises(errors.MigrationError) as caught:
        planner.plan(migrations, rows)
    assert (type(caught.value), str(caught.value)) == (kind, sentence + UNCHANGED)


def test_several_misfits_are_told_together() -> None:
    """An edited file does not hide a late one."""
    with pytest.raises(errors.SeveralMistakesError) as caught:
        planner.plan([EDITED, TWO, THREE], [row(ONE, 1), row(THREE, 2)])
    assert [type(mistake) for mistake in caught.value.mistakes] == [
        errors.EditedMigrationError,
        errors.LateMigrationError,
    ]


TARGETS = {
    "back": (1, "cannot go to version 0001\nDETAIL: the database is at 0002 already\nHINT: To step back, run "
             "`chatdb rollback --to 0001`."),
    "beyond": (9, "cannot go to version 0009\nDETAIL: the newest file is 0003\nHINT: Name a version that has a file."),
}  # fmt: skip


@pytest.mark.parametrize(("to", "sentence"), TARGETS.values(), ids=TARGETS)
def test_apply_does_not_go_back_or_beyond(to: int, sentence: str) -> None:
    """To step back is another command, with other questions."""
    with pytest.raises(errors.NoSuchVersionError) as caught:
        planner.plan([ONE, TWO, THREE], [row(ONE, 1), row(TWO, 2)], to=to)
    assert str(caught.value) == sentence + UNCHANGED


def test_the_way_back_is_newest_first() -> None:
    """What was built last is taken down first."""
    plan = planner.plan_back([ONE, TWO, THREE], [row(ONE, 1), row(TWO, 2), row(THREE, 3)], to=1)
    assert (names(plan.applied), names(plan.pending)) == (["0001_a"], ["0003_c", "0002_b"])
    assert (plan.version, plan.target) == (3, 1)


def test_there_is_no_way_back_past_an_empty_down_section() -> None:
    """Nothing is undone at all, not even the files above it."""
    one_way = parse("0002_b.sql", file("SELECT 1;", "-- none"))
    with pytest.raises(errors.NoWayDownError) as caught:
        planner.plan_back([ONE, one_way, THREE], [row(ONE, 1), row(one_way, 2), row(THREE, 3)], to=0)
    assert str(caught.value) == (
        "migration 0002_b has no way back\n"
        "DETAIL: its down section holds no statement\n"
        "HINT: Restore a backup, or write a new migration that leads to the shape you need." + UNCHANGED
    )


@pytest.mark.parametrize("to", [-1, 2, 9])
def test_a_rollback_goes_to_a_version_that_is_below(to: int) -> None:
    """There is nothing to undo on the way up."""
    with pytest.raises(errors.NoSuchVersionError) as caught:
        planner.plan_back([ONE, TWO], [row(ONE, 1)], to=to)
    assert (caught.value.detail, caught.value.hint) == ("the database is at 0001", "Name a version at or below it.")


def test_an_edited_file_is_not_rolled_back_with_what_it_says_now() -> None:
    """Its down section may be another one than the one that fits."""
    with pytest.raises(errors.EditedMigrationError):
        planner.plan_back([EDITED], [row(ONE, 1)], to=0)


def test_a_digest_tells_one_set_of_files_from_another() -> None:
    """Names, contents and order count."""
    digests = [
        planner.digest(files) for files in ([], [ONE], [ONE, TWO], [TWO, ONE], [EDITED, TWO], [ONE, made("0002_z")])
    ]
    assert len(set(digests)) == len(digests)
    assert planner.digest([ONE, TWO]) == digests[2]
    assert planner.digests([ONE, TWO]) == {"0001": digests[1], "0002": digests[2]}
    assert digests[0] == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
