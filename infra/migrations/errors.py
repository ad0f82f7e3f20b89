"""Every mistake that migration files and ledgers can hold, each its own class. Pure.

Raised by `filename`, `statements` and `planner` before anything runs; what fails while running is in `failures`.
The sentences are PostgreSQL's three parts: what happened, why, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.errors import ChatdbError


class MigrationError(ChatdbError):
    """A migration file or the ledger does not allow a plan, so that nothing is done."""

    def __init__(self, message: str, *, detail: str, hint: str, state: str = "Nothing was changed.") -> None:
        super().__init__(message, detail=detail, hint=hint, state=state)


class SeveralMistakesError(MigrationError):
    """More than one mistake was found; all are told at once.

    Args:
        mistakes: The single errors, two or more, in the order of the files.
    """

    def __init__(self, mistakes: Sequence[MigrationError]) -> None:
        self.mistakes = tuple(mistakes)
        for mistake in self.mistakes:
            mistake.state = ""  # said once, for all of them
        listed = "\n".join(
            f"  {number}. " + str(mistake).replace("\n", "\n     ") for number, mistake in enumerate(self.mistakes, 1)
        )
        super().__init__(
            f"{len(self.mistakes)} mistakes in the migrations",
            detail=f"\n{listed}",
            hint="Mend each of them; nothing is applied while one is left.",
        )


class BadNameError(MigrationError):
    """A file is not named `NNNN_name.sql`."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"{file!r} is not a name for a migration",
            detail="a migration is named NNNN_name.sql: four digits or more from 0001 on, lower-case letters, "
            "digits and underscores",
            hint="Rename it, as in 0002_add_reactions.sql, or move it out of the folder.",
        )


class BadTextError(MigrationError):
    """A file is not UTF-8 text."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file} is not UTF-8 text", detail=reason, hint="Save it as UTF-8 without a byte order mark.")


class MissingSectionError(MigrationError):
    """A file lacks `-- migrate:up` or `-- migrate:down`."""

    def __init__(self, name: str, section: str) -> None:
        super().__init__(
            f"migration {name} has no `-- migrate:{section}` section",
            detail="a file holds `-- migrate:up`, the statements, `-- migrate:down`, and the statements that undo them",
            hint=f"Add the line `-- migrate:{section}`"
            + (" before its statements." if section == "up" else "; leave it empty where there is no way back."),
        )


class BadSectionError(MigrationError):
    """A section marker is repeated, in the wrong order, or has an unknown option."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(
            f"migration {name} has a section marker that cannot be used at line {line}",
            detail=reason,
            hint="Write `-- migrate:up` once, then `-- migrate:down` once, each alone or with `transaction:false`.",
        )


class StrayTextError(MigrationError):
    """Statements stand before `-- migrate:up`, where no runner would see them."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(
            f"migration {name} has statements before `-- migrate:up` at line {line}",
            detail="only comments may stand there: everything before the first section is left out",
            hint="Move them below `-- migrate:up`.",
        )


class EmptyUpError(MigrationError):
    """The up section holds no statement."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"migration {name} does nothing",
            detail="its up section holds no statement",
            hint="Write its statements below `-- migrate:up`, or remove the file.",
        )


class DuplicateVersionError(MigrationError):
    """Two files have the same number."""

    def __init__(self, version: int, names: Sequence[str], free: int) -> None:
        super().__init__(
            f"version {version:04d} is used by {len(names)} files",
            detail=", ".join(names),
            hint=f"Give the one that is not applied anywhere the number {free:04d}.",
        )


class NumberingGapError(MigrationError):
    """A number between 0001 and the newest has no file."""

    def __init__(self, missing: Sequence[range], newest: str) -> None:
        one = len(missing) == 1 and len(missing[0]) == 1
        super().__init__(
            f"the numbering has a gap: {label_ranges(missing)} {'is' if one else 'are'} missing below {newest}",
            detail="versions count up from 0001 without a gap, so that a lost file is seen",
            hint=f"Restore the {'file' if one else 'files'}, or renumber the later ones "
            "where none of them is applied yet.",
        )


class PsqlCommandError(MigrationError):
    """A file holds a command of psql, which the server does not know."""

    def __init__(self, name: str, line: int, command: str) -> None:
        super().__init__(
            f"migration {name} has the psql command {command} at line {line}",
            detail="psql carries such commands out itself; the server, Pulumi and other runners cannot",
            hint="Write it as SQL: the contents of an included file, the value of a variable, a plain statement.",
        )


class CopyFromStdinError(MigrationError):
    """A file copies data from or to its client's streams."""

    def __init__(self, name: str, line: int, direction: str) -> None:
        super().__init__(
            f"migration {name} has COPY {direction} at line {line}",
            detail="a migration is sent as statements; there is no stream beside it that the rows could travel in",
            hint="Write INSERT ... VALUES, or load the data by a job of its own.",
        )


class TransactionControlError(MigrationError):
    """A file begins or ends transactions itself."""

    def __init__(self, name: str, line: int, command: str, *, transactional: bool) -> None:
        if transactional:
            detail = "the file and its ledger row are one transaction already; this would break it apart"
        else:
            detail = "the file runs statement by statement, so that each can be recorded and none runs twice"
        super().__init__(
            f"migration {name} has {command} at line {line}",
            detail=detail,
            hint="Remove it" + ("." if transactional else "; write what must be one step as one file."),
        )


class NeedsNoTransactionError(MigrationError):
    """A transactional file holds a statement that PostgreSQL refuses inside a transaction."""

    def __init__(self, name: str, line: int, command: str, section: str) -> None:
        super().__init__(
            f"migration {name} has {command} at line {line}, which cannot run inside a transaction",
            detail="the file runs as one transaction with its ledger row",
            hint=f"Move it to a migration of its own that begins `-- migrate:{section} transaction:false`.",
        )


class UnnamedIndexError(MigrationError):
    """An index is built concurrently without a name, so that a second attempt could not find the first one's."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(
            f"migration {name} builds an index without a name at line {line}",
            detail="an attempt that is cut short leaves the index INVALID; only by its name is it found again",
            hint="Name it: CREATE INDEX CONCURRENTLY table_column_idx ON ...",
        )


class SyntaxMistakeError(MigrationError):
    """PostgreSQL's parser does not take the file."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        self.line = line
        super().__init__(
            f"migration {name} cannot be parsed at line {line}",
            detail=reason,
            hint="Mend the statement; `psql` shows the same error.",
        )


class EditedMigrationError(MigrationError):
    """A file was changed after it was applied."""

    def __init__(self, name: str, applied: str, when: str, now: str, free: int) -> None:
        super().__init__(
            f"migration {name} was changed after it was applied",
            detail=f"applied as {applied}{when}; the file is now {now}",
            hint=f"Restore the file and put the change in a new migration, {free:04d}_….sql.",
        )


class LineEndsError(EditedMigrationError):
    """Only the line ends of a file were changed after it was applied, as git does where it is told to."""

    def __init__(self, name: str, when: str, *, now: str) -> None:
        MigrationError.__init__(
            self,
            f"the line ends of migration {name} were changed after it was applied",
            detail=f"but for them it is what was applied{when}; now they are {now}",
            hint="Check the file out as it was committed: `*.sql -text` in .gitattributes keeps git from changing it.",
        )


class EditedHalfwayError(MigrationError):
    """The part of a file that has run already was changed before the rest had run."""

    def __init__(self, name: str, done: int, total: int, direction: str) -> None:
        super().__init__(
            f"migration {name} was changed in the part that has run already",
            detail=f"{done} of {total} statements of its {direction} section are done, and they were other statements",
            hint="Restore the statements that are done; those after them may be mended.",
        )


class RenamedMigrationError(MigrationError):
    """A file was renamed after it was applied."""

    def __init__(self, name: str, applied: str) -> None:
        super().__init__(
            f"migration {name} was renamed after it was applied",
            detail=f"the ledger knows it as {applied}; the contents are the same",
            hint=f"Name the file {applied}.sql again.",
        )


class OtherMigrationsError(MigrationError):
    """Nothing that the ledger holds is one of these files, from the first on: it is the ledger of other migrations."""

    def __init__(self, applied: str, file: str) -> None:
        super().__init__(
            "other migrations than these were applied to this database",
            detail=f"its ledger begins with {applied}, the files with {file}, and no file is as it was applied here",
            hint="Check product and connection: this is the database of something else, or the files were all changed.",
        )


class LateMigrationError(MigrationError):
    """A file that is not applied has a lower number than one that is."""

    def __init__(self, name: str, newest: str, free: int) -> None:
        super().__init__(
            f"migration {name} comes too late",
            detail=f"{newest} is applied already, so {name} would run after what was built without it",
            hint=f"Renumber it as {free:04d}_….sql, so that it runs last everywhere.",
        )


class MissingFileError(MigrationError):
    """The ledger holds a version whose file is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the file of migration {name} is gone",
            detail="the ledger says it is applied",
            hint=f"Restore {name}.sql from version control; a migration that was applied is never deleted.",
        )


class NewerLedgerError(MigrationError):
    """The ledger holds versions above the newest file: newer code was here."""

    def __init__(self, names: Sequence[str], newest: str) -> None:
        super().__init__(
            f"the database is ahead of these files: {', '.join(names)}",
            detail=f"the newest file here is {newest}; newer code has migrated this database",
            hint="Use the newer code, or roll back with it first.",
        )


class BrokenLedgerError(MigrationError):
    """A ledger row was edited, removed, reordered or forged, or one of the ledger's tables."""

    def __init__(self, place: str, reason: str, *, lost: str = "the row") -> None:
        super().__init__(
            f"the ledger was changed by hand at {place}",
            detail=reason,
            hint=f"Compare chatdb.ledger with a backup and `chatdb verify`, restore {lost}, then run again.",
        )


class HalfRolledBackError(MigrationError):
    """A rollback of a non-transactional file was cut short, and something else was asked for."""

    def __init__(self, name: str, version: int, done: int, total: int) -> None:
        super().__init__(
            f"migration {name} is half rolled back",
            detail=f"{done} of {total} statements of its down section are done",
            hint=f"Finish it first: `chatdb rollback --to {version - 1:04d}`.",
        )


class NoSuchVersionError(MigrationError):
    """A version was asked for that cannot be gone to."""

    def __init__(self, version: int, reason: str, hint: str) -> None:
        super().__init__(f"cannot go to version {version:04d}", detail=reason, hint=hint)


class NoWayDownError(MigrationError):
    """A rollback would pass a file whose down section is empty."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"migration {name} has no way back",
            detail="its down section holds no statement",
            hint="Restore a backup, or write a new migration that leads to the shape you need.",
        )


def ranges(versions: Iterable[int]) -> list[range]:
    """Return sorted versions as runs without a hole."""
    runs: list[range] = []
    for version in versions:
        if runs and runs[-1].stop == version:
            runs[-1] = range(runs[-1].start, version + 1)
        else:
            runs.append(range(version, version + 1))
    return runs


def label_ranges(runs: Sequence[range]) -> str:
    """Return runs of versions as labels: `0001 to 0098, 0100`."""
    parts: list[str] = []
    for run in runs:
        if len(run) > 2:
            parts.append(f"{run[0]:04d} to {run[-1]:04d}")
        else:
            parts.extend(f"{version:04d}" for version in run)
    return ", ".join(parts)
