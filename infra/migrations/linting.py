"""Lint migrations: squawk for what locks and breaks clients, our own rules for what a reader and a reviewer need.

An edge only by running squawk over copies of the up sections; no database is asked. Called by `chatdb lint` for all
files and by the resource's `check` for the pending ones, so that a preview stops at a finding. Our rules are in
`rules`. A finding that must stand is silenced in the file, with the reason beside it:

    -- The table is empty still.
    -- squawk-ignore RULE            (squawk's own; -file for the whole file)
    -- chatdb-ignore RULE: reason    (ours; -file for the whole file)

Source: https://squawkhq.com/docs/cli
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.errors import ChatdbError, RefusedError
from infra.migrations import rules
from infra.migrations.model import Migration
from infra.migrations.rules import Finding
from infra.products import PROJECT_ROOT
from infra.words import counted

CONFIG = PROJECT_ROOT / ".squawk.toml"
SQUAWK_LIMIT_S = 60
# squawk gives no advice on these; the sentence must still end in what to do.
_ADVICE = {
    "require-table-schema": "Write the schema before the name, as in public.chats.",
    "syntax-error": "Mend the statement; `psql` shows the same error.",
}


class LintError(ChatdbError):
    """Pending migrations have findings that are not silenced.

    Args:
        findings: One or more.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        count = counted(len(findings), "finding")
        super().__init__(
            f"{count} of the linter in the migrations",
            detail="\n  ".join(map(str, findings)),
            hint="Mend each, or silence it in the file with its reason: -- squawk-ignore RULE, -- chatdb-ignore RULE: "
            "reason",
            state="Nothing was changed.",
        )


def check(migrations: Sequence[Migration]) -> list[Finding]:
    """Return every finding in the up sections of some migrations, by file and line.

    Args:
        migrations: The files to look at; none of them needs to be applied or not.

    Raises:
        ChatdbError: squawk cannot be run.
    """
    found = [finding for migration in migrations for finding in rules.check(migration)]
    for transactional in (True, False):
        chosen = [migration for migration in migrations if migration.transactional is transactional]
        if chosen:
            found.extend(_squawk(chosen, transactional=transactional))
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.rule))


def require(migrations: Sequence[Migration]) -> None:
    """Return where there is no finding.

    Raises:
        LintError: there is one; all are listed.
        ChatdbError: squawk cannot be run.
    """
    if findings := check(migrations):
        raise LintError(findings)


def _squawk(migrations: Sequence[Migration], *, transactional: bool) -> list[Finding]:
    """Run squawk once over files that all run inside a transaction, or all outside."""
    program = Path(sysconfig.get_path("scripts")) / "squawk"
    command = [str(program), "--config", str(CONFIG), "--reporter", "json"]
    if transactional:
        command.append("--assume-in-transaction")
    with tempfile.TemporaryDirectory(prefix="chatdb-lint-") as folder:
        paths = []
        for migration in migrations:
            path = Path(folder) / f"{migration.name}.sql"
            path.write_text(rules.up_text(migration), encoding="utf-8")
            paths.append(str(path))
        try:
            done = subprocess.run(
                [*command, *paths], capture_output=True, text=True, check=False, timeout=SQUAWK_LIMIT_S
            )
            reported = json.loads(done.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            words = getattr(error, "strerror", None) or (done.stderr if isinstance(error, ValueError) else str(error))
            raise RefusedError(
                "the linter squawk cannot be run",
                detail=f"{program}: {' '.join(str(words).split())}",
                hint="Install what requirements.txt names (make install), and look at .squawk.toml.",
            ) from None
    return [
        Finding(
            file=Path(entry["file"]).name,
            line=entry["line"] + 1,
            rule=entry["rule_name"],
            what=" ".join(entry["message"].split()),
            hint=entry["help"] or _ADVICE.get(entry["rule_name"], f"https://squawkhq.com/docs/{entry['rule_name']}"),
        )
        for entry in reported
    ]
