"""Our own rules for migrations, beside squawk's. Pure; PostgreSQL's own parser does the reading.

Called by `linting`. Each rule is a name, what is wrong and what to do; a file that the parser refuses gets no finding
here, since the planner and squawk name the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from infra.migrations.draft_mark import MARK
from infra.migrations.model import Migration

# What to do about each rule.
RULES = {
    "draft": "Review each statement, and write the reason in place of the mark.",
    "no-reason": "Begin the file with a comment that says why it is there.",
    "no-locks": "Say in the comment at the top what it locks: `-- Locks: …`.",
    "no-comment": "Write above it what it is for.",
    "unnamed-constraint": "Name it: CONSTRAINT table_column_key …, so that a later file can drop it on every server.",
    "unnamed-index": "Name it: CREATE INDEX table_column_idx ON …, so that a later file can drop it on every server.",
    "function-search-path": "Add SET search_path = '' and write the schema before every name in its body.",
    "policy-to-public": "Name the role: CREATE POLICY … TO app_role.",
    "grant-to-public": "Grant to a role, in infra/privileges.py, where a preview shows it.",
    "drop-cascade": "Drop what depends on it by name, so that a reviewer sees what goes.",
    "ignore-without-reason": "Write beside it why: a comment line above, or -- chatdb-ignore RULE: reason.",
}
_CREATES = {
    "CreateStmt": "table",
    "IndexStmt": "index",
    "CreatePolicyStmt": "policy",
    "CreateFunctionStmt": "function",
    "ViewStmt": "view",
    "DoStmt": "block",
    "InsertStmt": "change of rows",
    "UpdateStmt": "change of rows",
    "DeleteStmt": "change of rows",
}
_NAMED_CONSTRAINTS = ("CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_FOREIGN", "CONSTR_CHECK", "CONSTR_EXCLUSION")
_IGNORE = re.compile(r"^\s*--\s*chatdb-ignore(-file)?\s+([\w-]+)\s*:?[ \t]*(.*?)\s*$", re.MULTILINE)
_SQUAWK_IGNORE = re.compile(r"(?:--|/\*)\s*squawk-(?:ignore|disable)")
_COMMENT = re.compile(r"^\s*--\s*(?!migrate:|squawk-|chatdb-ignore)\S")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to mend.

    Attributes:
        file: Name of the file.
        line: Line of it, from 1.
        rule: Name of the rule, by which it is silenced.
        what: What is wrong, in one sentence.
        hint: What to do.
    """

    file: str
    line: int
    rule: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.what} {self.hint}"

    def as_dict(self) -> dict[str, str | int]:
        """Return the finding for `--json`."""
        return {"file": self.file, "line": self.line, "rule": self.rule, "what": self.what, "hint": self.hint}


class _Part(NamedTuple):
    """One statement: its node, the comment above it, the line on which it begins, whether it is the only one."""

    node: Any
    above: str
    line: int
    alone: bool


def up_text(migration: Migration) -> str:
    """Return a file up to the end of its up section: the lines are numbered as in the file."""
    before = migration.text.split("\n")[: migration.up_line - 1]
    return "\n".join([*before, migration.up])


def check(migration: Migration) -> list[Finding]:
    """Return what our rules find in the top and the up section of a file, silenced findings left out."""
    text = up_text(migration)
    parts = _parts(migration)
    found = [*_of_top(text), *_of_ignores(text)]
    for part in parts:
        found.extend((part.line, rule, what) for rule, what in _of_statement(part) if not _silenced(part.above, rule))
    whole_file = {match[2] for match in _IGNORE.finditer(text) if match[1]}
    return [
        Finding(file=f"{migration.name}.sql", line=line, rule=rule, what=what, hint=RULES[rule])
        for line, rule, what in sorted(found)
        if rule not in whole_file
    ]


def _of_top(text: str) -> Iterator[tuple[int, str, str]]:
    """Look at what stands before `-- migrate:up`."""
    lines = text.split("\n")
    top = lines[: next((n for n, line in enumerate(lines) if re.match(r"--\s*migrate:up", line)), 0)]
    if text.startswith(MARK):
        yield 1, "draft", "The file is a draft that nobody has reviewed."
    if not _COMMENT.match(lines[0]):
        yield 1, "no-reason", "The file does not begin with its reason."
    if not re.search(r"\block", "\n".join(top), re.IGNORECASE):
        yield 1, "no-locks", "The comment at its top does not say what it locks."


def _of_ignores(text: str) -> Iterator[tuple[int, str, str]]:
    """Look whether whatever is silenced has its reason beside it, and names a rule that there is."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if match := _IGNORE.match(line):
            if match[2] not in RULES:
                yield number, "ignore-without-reason", f"There is no rule {match[2]}: {', '.join(RULES)}."
            elif not match[3]:
                yield number, "ignore-without-reason", f"{match[2]} is silenced without a reason."
        elif _SQUAWK_IGNORE.search(line):
            above = next((other for other in reversed(lines[: number - 1]) if not _SQUAWK_IGNORE.search(other)), "")
            if not _COMMENT.match(above):
                yield number, "ignore-without-reason", "A rule of squawk is silenced without a reason above it."


def _parts(migration: Migration) -> list[_Part]:
    from pglast import parser

    try:
        raw: tuple[Any, ...] = parser.parse_sql(migration.up)
        tokens = [token for token in parser.scan(migration.up) if token.name not in ("SQL_COMMENT", "C_COMMENT")]
    except parser.ParseError:
        return []
    parts = []
    end = 0
    for item in raw:
        start = next((token.start for token in tokens if token.start >= item.stmt_location), item.stmt_location)
        # What stands on the line on which the statement before ends is that one's comment, not ours.
        above = migration.up[end:start].partition("\n")[2] if end else migration.up[:start]
        line = migration.up_line + migration.up.count("\n", 0, start)
        parts.append(_Part(item.stmt, above, line, len(raw) == 1))
        end = item.stmt_location + (item.stmt_len or 0)
    return parts


def _of_statement(part: _Part) -> Iterator[tuple[str, str]]:
    """Yield the rules that one statement breaks, each with its sentence."""
    node = part.node
    kind = type(node).__name__
    if kind in _CREATES and not part.alone and not any(_COMMENT.match(line) for line in part.above.split("\n")):
        yield "no-comment", f"This {_CREATES[kind]} has no comment above it."
    for constraint in _constraints(node):
        yield "unnamed-constraint", f"A {_word(constraint)} has no name: each server would choose one."
    match kind:
        case "IndexStmt" if not node.idxname:
            yield "unnamed-index", "The index has no name: each server would choose one."
        case "CreateFunctionStmt" if not _fixes_search_path(node):
            definer = _has_option(node, "security") and "with the rights of its owner, "
            yield "function-search-path", f"The function runs {definer or ''}with its caller's search_path."
        case "CreatePolicyStmt" if _names_public(node.roles):
            yield "policy-to-public", f"The policy {node.policy_name} is for PUBLIC: every role there will ever be."
        case "GrantStmt" if node.is_grant and _names_public(node.grantees):
            yield "grant-to-public", "A right goes to PUBLIC: every role there will ever be."
        case "DropStmt" | "DropRoleStmt" if getattr(node.behavior, "name", "") == "DROP_CASCADE":
            yield "drop-cascade", "CASCADE drops whatever depends on it, seen or not."


def _constraints(node: Any) -> Iterator[Any]:
    """Yield the constraints without a name that a statement makes, of the kinds that have one on every server."""
    match type(node).__name__:
        case "CreateStmt":
            elements = list(node.tableElts or ())
        case "AlterTableStmt":
            elements = [command.def_ for command in node.cmds if command.def_ is not None]
        case _:
            return
    for element in elements:
        inner = element.constraints or () if type(element).__name__ == "ColumnDef" else (element,)
        for constraint in inner:
            named = type(constraint).__name__ == "Constraint" and constraint.contype.name in _NAMED_CONSTRAINTS
            if named and not constraint.conname and not constraint.indexname:
                yield constraint


def _word(constraint: Any) -> str:
    words = {"CONSTR_PRIMARY": "primary key", "CONSTR_UNIQUE": "unique key", "CONSTR_FOREIGN": "foreign key"}
    return words.get(constraint.contype.name, "check")


def _fixes_search_path(node: Any) -> bool:
    return any(
        option.defname == "set" and getattr(option.arg, "name", "") == "search_path" for option in node.options or ()
    )


def _has_option(node: Any, name: str) -> bool:
    """Return whether SECURITY DEFINER stands there: INVOKER is written rarely, and as false."""
    return any(option.defname == name and bool(option.arg.boolval) for option in node.options or ())


def _names_public(roles: Any) -> bool:
    return any(role.roletype.name == "ROLESPEC_PUBLIC" for role in roles or ())


def _silenced(above: str, rule: str) -> bool:
    return any(match[2] == rule and match[3] for match in _IGNORE.finditer(above))
