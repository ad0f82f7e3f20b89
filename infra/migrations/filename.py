"""Read one migration file's name and sections. Pure: takes names and texts, returns migrations.

Called by `directory` with what is on disk, and by the Pulumi resource with what its inputs hold. The convention is
dbmate's, so that dbmate and psql can run the same files.

Source: https://github.com/amacneil/dbmate#creating-migrations
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from infra.migrations.errors import (
    BadNameError,
    BadSectionError,
    BadTextError,
    DuplicateVersionError,
    EmptyUpError,
    MigrationError,
    MissingSectionError,
    SeveralMistakesError,
    StrayTextError,
)
from infra.migrations.model import Migration

_NAME = re.compile(r"(\d{4,9})_[a-z0-9][a-z0-9_]*\.sql", re.ASCII)
_MARKER = re.compile(r"^--[ \t]*migrate:([^ \t\r\n]*)[ \t]*([^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_OPTIONS = {"": True, "transaction:true": True, "transaction:false": False}
_BLANK = re.compile(r"(?:\s+|--[^\n]*|;)*")
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def parse(file: str, text: str) -> Migration:
    """Return the migration that a file holds.

    Args:
        file: Its name with `.sql`, without a folder.
        text: Its whole contents, line ends as they are on disk.

    Raises:
        BadNameError: the name is not `NNNN_name.sql`.
        BadTextError: the text cannot be sent to a server.
        MissingSectionError, BadSectionError, StrayTextError, EmptyUpError: the sections cannot be used.
    """
    match = _NAME.fullmatch(file)
    version = int(match[1]) if match else 0
    if version == 0 or not file.startswith(f"{version:04d}_"):
        raise BadNameError(file)
    name = file[:-4]
    try:
        checksum = checksum_of(text)
    except UnicodeEncodeError as error:
        raise BadTextError(file, f"it holds the lone surrogate {error.object[error.start]!r}") from None
    if "\0" in text or text.startswith("\ufeff"):
        reason = "it begins with a byte order mark" if text.startswith("\ufeff") else "it holds a NUL character"
        raise BadTextError(file, reason)
    (up_start, up_end, up_transactional), (down_start, down_transactional) = _sections(name, text)
    up = text[up_start:up_end]
    if not has_code(up):
        raise EmptyUpError(name)
    return Migration(
        version,
        name,
        text,
        up,
        text[down_start:],
        up_transactional,
        checksum,
        down_transactional,
        text.count("\n", 0, up_start) + 1,
        text.count("\n", 0, down_start) + 1,
    )


def checksum_of(text: str) -> str:
    """Return what a ledger knows a file by: `sha256:` and the digest of its bytes."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def parse_all(files: Mapping[str, str]) -> tuple[Migration, ...]:
    """Return the migrations of several files, lowest version first.

    Raises:
        MigrationError: the one mistake there is.
        SeveralMistakesError: all of them, when there are more.
    """
    migrations: list[Migration] = []
    mistakes: list[MigrationError] = []
    for file in sorted(files):
        try:
            migrations.append(parse(file, files[file]))
        except MigrationError as mistake:
            mistakes.append(mistake)
    migrations.sort()
    mistakes.extend(duplicates(migrations))
    raise_all(mistakes)
    return tuple(migrations)


def duplicates(migrations: list[Migration]) -> list[MigrationError]:
    """Return a mistake for each version that several of the sorted migrations share."""
    names: dict[int, list[str]] = {}
    for migration in migrations:
        names.setdefault(migration.version, []).append(migration.name)
    free = max(names, default=0) + 1
    return [DuplicateVersionError(version, same, free) for version, same in names.items() if len(same) > 1]


def raise_all(mistakes: list[MigrationError]) -> None:
    """Raise the one mistake as it is, several as one error; return when there is none."""
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise SeveralMistakesError(mistakes)


def has_code(section: str) -> bool:
    """Return whether a section holds more than white space, comments and semicolons."""
    return _code_at(section) < len(section)


def _code_at(text: str) -> int:
    """Return where the first thing stands that is neither white space nor a comment; block comments may be nested."""
    begin = at = depth = 0
    while True:
        if depth == 0 and (blank := _BLANK.match(text, at)):
            begin = at = blank.end()
        edge = _BLOCK_EDGE.search(text, at) if depth or text.startswith("/*", at) else None
        if edge is None:
            return begin
        depth += 1 if edge[0] == "/*" else -1
        at = edge.end()


def _sections(name: str, text: str) -> tuple[tuple[int, int, bool], tuple[int, bool]]:
    """Return where the up section begins and ends, where the down section begins, and how each runs."""
    found: dict[str, tuple[int, int, bool]] = {}
    for marker in _MARKER.finditer(text):
        section, option = marker[1], marker[2]
        line = text.count("\n", 0, marker.start()) + 1
        if section not in ("up", "down"):
            raise BadSectionError(name, line, f"there is no section {section!r}")
        if section in found:
            raise BadSectionError(name, line, f"`-- migrate:{section}` stands a second time")
        if section == "down" and "up" not in found:
            raise BadSectionError(name, line, "`-- migrate:down` stands before `-- migrate:up`")
        if option not in _OPTIONS:
            raise BadSectionError(name, line, f"there is no option {option!r}")
        # The text begins on the line after the marker; a marker that ends the file is followed by nothing.
        found[section] = (marker.start(), min(marker.end() + 1, len(text)), _OPTIONS[option])
    if "up" not in found:
        raise MissingSectionError(name, "up")
    if "down" not in found:
        raise MissingSectionError(name, "down")
    up, down = found["up"], found["down"]
    before = text[: up[0]]
    if has_code(before):
        raise StrayTextError(name, before.count("\n", 0, _code_at(before)) + 1)
    return (up[1], down[0], up[2]), (down[1], down[2])
