"""Every command of `chatdb` as plain data: name, summary, example, options and the function that runs it.

The functions are named as text, so that a command loads only its own module.
"""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple


class Option(NamedTuple):
    """One argument: its flags and what argparse is told of it."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


class Command(NamedTuple):
    """One command.

    Attributes:
        name: One word, or two where it belongs to a group ("server start").
        summary: What it does, in one line that starts small.
        example: A command line that works.
        run: `module:function`; the function takes the parsed options and returns the exit status.
        options: Its arguments.
        group_summary: Help of the group, on its first command.
    """

    name: str
    summary: str
    example: str
    run: str
    options: tuple[Option, ...] = ()
    group_summary: str = ""


def option(*flags: str, **settings: Any) -> Option:
    """Return an option as argparse's `add_argument` takes it."""
    return Option(flags, settings)


def version(text: str) -> int:
    """Return a version as people write it: 2, 0002, 0002_index_history.

    Raises:
        ArgumentTypeError: it is below 0.
    """
    number = version_or_back(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is no version; `chatdb rollback` alone steps back")
    return number


def version_or_back(text: str) -> int:
    """Return a version, or how many to step back as a number below 0.

    Raises:
        ArgumentTypeError: it is no number.
    """
    try:
        return int(text.partition("_")[0])
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no version: write it as 0002") from None


def names(text: str) -> dict[str, str]:
    """Return `owner=chat_owner,app=lyra_service` as names by kind.

    Raises:
        ArgumentTypeError: a part is no kind with a name.
    """
    parts = [[word.strip() for word in part.split("=", 1)] for part in text.split(",")]
    if not all(len(part) == 2 and all(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not like owner=chat_owner,app=lyra_service")
    return dict(parts)


STACK = option(
    "--stack", default=os.environ.get("CHATDB_STACK"), metavar="NAME", help="the stack (default: dev, or CHATDB_STACK)"
)
ENGINE = option(
    "--engine",
    choices=("auto", "pulumi", "embedded"),
    default=os.environ.get("CHATDB_ENGINE", "auto"),
    help="the Pulumi CLI, or the engine in this project (default: the one that has the stack, else pulumi if on PATH)",
)
ROLES = option(
    "--roles",
    metavar="KIND=NAME,…",
    type=names,
    help="what roles are called that have other names than the product gives them (default: as the stack says)",
)
YES = option("--yes", action="store_true", help="do not ask before acting")
EXPECT = option("--expect-no-changes", action="store_true", help="exit with 2 where anything differs, for pipelines")
UNRELEASED = option(
    "--unreleased",
    action="store_true",
    help="show it although the stack's promoteFrom has not released it yet, as in a pull request",
)
JSON = option("--json", action="store_true", help="print JSON for a machine to read")
PRODUCT = option("--product", metavar="NAME", help="one product (default: every product of the stack)")
EVERY_PRODUCT = option("--product", metavar="NAME", help="one product (default: all of schema/)")
ONE_PRODUCT = option("--product", metavar="NAME", required=True, help="the product")
SHOW_SECRETS = option("--show-secrets", action="store_true", help="print secrets in plain text")

# How to reach one database without a stack; the variables DATABASE_URL, POSTGRES_URL and PG* do as well.
CONNECTION = (
    option(
        "--url", metavar="URL", help="connection string (default: DATABASE_URL, POSTGRES_URL, or the PG* variables)"
    ),
    # The same as fields; a password comes from PGPASSWORD or ~/.pgpass, never from the process list.
    option(
        "--host", metavar="HOST", help="server, in place of a connection string; the password is read from PGPASSWORD"
    ),
    option("--port", metavar="PORT", help="its port (default: 5432)"),
    option("--database", metavar="NAME", help="database on it"),
    option("--user", metavar="ROLE", help="role to log in as"),
    option("--sslmode", metavar="MODE", help="libpq's sslmode: disable, prefer, require, verify-ca, verify-full"),
    option("--owner", metavar="ROLE", help="role to act as after login"),
)
TO = option("--to", metavar="VERSION", type=version, help="the version to stop at (default: the newest)")
SHAPE_OF = option(
    "--to", metavar="VERSION", type=version, help="the version it has (default: the one whose shape stands there)"
)
WAIT = option(
    "--wait",
    metavar="SECONDS",
    type=float,
    help="how long to wait for a server that sleeps or starts (default: 30, and 0 for one on this machine)",
)
STAND_INS = option(
    "--stand-ins", action="store_true", help="make stand-ins of the application's tables that are missing"
)
ADOPT = option("--adopt", action="store_true", help="take over tables that have a known version's shape already")

COMMANDS: tuple[Command, ...] = (
    Command(
        name="up",
        summary="bring a stack up: roles, databases, schemas, grants and migrations",
        example="chatdb up --stack dev --yes",
        run="cli.stacks:up",
        options=(STACK, ENGINE, YES, JSON),
    ),
    Command(
        name="preview",
        summary="show what `up` would do, with the SQL of pending migrations in full",
        example="chatdb preview --stack prod",
        run="cli.stacks:preview",
        options=(STACK, ENGINE, UNRELEASED, EXPECT, JSON),
    ),
    Command(
        name="promote",
        summary="take to one stack what another has released: show the difference, ask, bring it up, verify",
        example="chatdb promote --from dev --to prod",
        run="cli.promote:promote",
        options=(
            option("--from", dest="source", metavar="NAME", help="the stack to take from (default: its promoteFrom)"),
            option("--to", metavar="NAME", required=True, help="the stack that takes it"),
            option("--product", metavar="NAME", help="refuse where anything of another product would change"),
            ENGINE,
            YES,
            JSON,
        ),
    ),
    Command(
        name="report",
        summary="write the previews of some stacks as one Markdown text (exit status 1 where one would be refused)",
        example="chatdb report --stack dev --stack prod --out report.md",
        run="cli.report:report",
        options=(
            option("--stack", action="append", metavar="NAME", help="a stack; again for more (default: dev)"),
            option("--out", metavar="FILE", help="write it to a file (default: standard output)"),
            option("--comment", metavar="FILE", help="write it to a file too, cut at what a comment on GitHub holds"),
            ENGINE,
            JSON,
        ),
    ),
    Command(
        name="refresh",
        summary="read what is really there into the stack's state and show what differs",
        example="chatdb refresh --stack dev",
        run="cli.stacks:refresh",
        options=(STACK, ENGINE, YES, EXPECT, JSON),
    ),
    Command(
        name="destroy",
        summary="remove what `up` made, the embedded server and its data included",
        example="chatdb destroy --stack dev",
        run="cli.stacks:destroy",
        options=(STACK, ENGINE, YES, JSON),
    ),
    Command(
        name="rotate",
        summary="give every login a new password; the former one stays valid until the next rotation",
        example="chatdb rotate --stack prod",
        run="cli.rotate:rotate",
        options=(
            STACK,
            ENGINE,
            YES,
            option(
                "--even-if-used", action="store_true", help="rotate also where sessions still use what it makes invalid"
            ),
            JSON,
        ),
    ),
    Command(
        name="down",
        summary="stop the stack's embedded server and keep its data",
        example="chatdb down --stack dev",
        run="cli.server:down",
        options=(STACK,),
    ),
    Command(
        name="server start",
        summary="start the stack's embedded PostgreSQL",
        example="chatdb server start --stack dev",
        run="cli.server:start",
        options=(STACK, JSON),
        group_summary="the embedded PostgreSQL server",
    ),
    Command(
        name="server stop",
        summary="stop the stack's embedded PostgreSQL and keep its data",
        example="chatdb server stop --stack dev",
        run="cli.server:down",
        options=(STACK,),
    ),
    Command(
        name="server status",
        summary="say whether the stack's embedded PostgreSQL runs, and where",
        example="chatdb server status --stack dev",
        run="cli.server:status",
        options=(STACK, JSON),
    ),
    Command(
        name="url",
        summary="print the connection string of a product's role, and nothing else",
        example="chatdb url --product lyra --role app",
        run="cli.access:url",
        options=(
            ONE_PRODUCT,
            option(
                "--role",
                default="app",
                metavar="ROLE",
                help="app, readonly, migrator, analytics where there is one, or administrator, acting as the owner",
            ),
            STACK,
            ENGINE,
        ),
    ),
    Command(
        name="psql",
        summary="open a psql session on a product's database",
        example="chatdb psql --product lyra --role readonly -- -c 'select count(*) from chat_messages'",
        run="cli.access:psql",
        options=(
            ONE_PRODUCT,
            option(
                "--role",
                default="app",
                metavar="ROLE",
                help="app, readonly, migrator, analytics where there is one, or administrator, acting as the owner",
            ),
            STACK,
            ENGINE,
            option("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for psql, after --"),
        ),
    ),
    Command(
        name="verify",
        summary="compare each database with what its migrations make, column by column",
        example="chatdb verify --product lyra",
        run="cli.verify:verify",
        options=(PRODUCT, STACK, ENGINE, *CONNECTION, JSON),
    ),
    Command(
        name="access",
        summary="print who can do what now beside what is declared (exit status 2 where they differ)",
        example="chatdb access --product lyra",
        run="cli.access_matrix:access",
        options=(PRODUCT, STACK, ENGINE, *CONNECTION, ROLES, JSON),
    ),
    Command(
        name="audit",
        summary="ask the security baseline of each database (exit status 2 where a rule is broken)",
        example="chatdb audit --product lyra --sarif audit.sarif",
        run="cli.audit:audit",
        options=(
            PRODUCT,
            STACK,
            ENGINE,
            *CONNECTION,
            ROLES,
            option("--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0, for code scanning"),
            JSON,
        ),
    ),
    Command(
        name="apply",
        summary="apply the pending migrations of one product, with or without a stack",
        example="DATABASE_URL=postgresql://me@localhost/chat chatdb apply --product robotics",
        run="cli.migrations:apply",
        options=(ONE_PRODUCT, TO, STACK, ENGINE, *CONNECTION, WAIT, STAND_INS, ADOPT, JSON),
    ),
    Command(
        name="status",
        summary="say which version each database is at and what is pending (exit status 2 where something is)",
        example="chatdb status",
        run="cli.history:status",
        options=(PRODUCT, STACK, ENGINE, *CONNECTION, JSON),
    ),
    Command(
        name="history",
        summary="print what was done to each database, when and by whom",
        example="chatdb history --product robotics",
        run="cli.history:history",
        options=(PRODUCT, STACK, ENGINE, *CONNECTION, JSON),
    ),
    Command(
        name="rollback",
        summary="step back to a version, after counting the rows that go and asking for the product's phrase",
        example="chatdb rollback --product robotics --to 0002 --confirm 'DELETE CHATS TABLE'",
        run="cli.migrations:rollback",
        options=(
            ONE_PRODUCT,
            option(
                "--to",
                metavar="VERSION",
                type=version_or_back,
                required=True,
                help="the version to come back to: 0002; 0 undoes everything, -1 is one step back",
            ),
            option("--confirm", metavar="PHRASE", help="the product's phrase, in place of typing it"),
            option("--override-production", action="store_true", help="allow it on a stack marked as production"),
            option(
                "--backup-to",
                metavar="PLACE",
                help="back up there first (default: a protected stack's backupTo; other stacks take no backup)",
            ),
            STACK,
            ENGINE,
            *CONNECTION,
            JSON,
        ),
    ),
    Command(
        name="baseline",
        summary="record that an existing database has a version's shape, after comparing it deeply",
        example="chatdb baseline --product insights --to 0001",
        run="cli.migrations:baseline",
        options=(ONE_PRODUCT, SHAPE_OF, STACK, ENGINE, *CONNECTION, JSON),
    ),
    Command(
        name="backup",
        summary="back up a product's database, restore the backup and compare: only what is proven counts",
        example="chatdb backup --product lyra --to backups",
        run="cli.backup:backup",
        options=(
            PRODUCT,
            option("--to", metavar="PLACE", help="a folder or s3://bucket/prefix (default: the stack's backupTo)"),
            STACK,
            ENGINE,
            *CONNECTION,
            JSON,
        ),
    ),
    Command(
        name="restore",
        summary="restore a backup into a database of its own and compare it with what was dumped",
        example="chatdb restore --product lyra --from backups/dev/lyra/2026-11-24T192439Z-3f9a1c2d --into lyra_then",
        run="cli.backup:restore",
        options=(
            ONE_PRODUCT,
            option("--from", dest="source", metavar="PLACE", required=True, help="the backup: its folder, or s3://…"),
            option("--into", metavar="DATABASE", required=True, help="name of the database; a new or an empty one"),
            STACK,
            ENGINE,
            *CONNECTION,
            JSON,
        ),
    ),
    Command(
        name="sql",
        summary="print migrations as one script for psql or a web console, ledger rows included, without connecting",
        example="chatdb sql --product storefront --from 0001 --out storefront.sql",
        run="cli.script:sql",
        options=(
            ONE_PRODUCT,
            option("--from", dest="after", metavar="VERSION", type=version, default=0, help="where it is (default: 0)"),
            TO,
            option("--out", metavar="FILE", help="write it to a file"),
            option("--plain", action="store_true", help="the statements alone, without ledger rows and guards"),
            STACK,
        ),
    ),
    Command(
        name="new",
        summary="start a migration from a template, or draft it from what was edited in schema.sql",
        example="chatdb new add_reactions --product lyra",
        run="cli.draft:new",
        options=(
            option("name", metavar="NAME", nargs="?", help="what it does, as in add_reactions"),
            ONE_PRODUCT,
            option(
                "--from-schema",
                action="store_true",
                help="draft it from the difference between schema.sql and what the migrations make, for review",
            ),
            JSON,
        ),
    ),
    Command(
        name="lint",
        summary="lint migrations: what they lock, what breaks clients, what a reviewer needs",
        example="chatdb lint --product robotics",
        run="cli.lint:lint",
        options=(EVERY_PRODUCT, JSON),
    ),
    Command(
        name="snapshot",
        summary="make the catalogue snapshot of every version anew, on a PostgreSQL of its own",
        example="chatdb snapshot --check",
        run="cli.snapshots:snapshot",
        options=(
            EVERY_PRODUCT,
            option("--check", action="store_true", help="write nothing; exit status 2 where a snapshot differs"),
            JSON,
        ),
    ),
    Command(
        name="stack export",
        summary="print the stack's state as Pulumi's deployment JSON, for `pulumi stack import`",
        example="chatdb stack export --stack dev > dev.json",
        run="cli.state:export",
        options=(STACK, SHOW_SECRETS),
        group_summary="the state of a stack on the embedded engine",
    ),
    Command(
        name="stack import",
        summary="take over a state that `pulumi stack export` printed",
        example="chatdb stack import --stack dev --file dev.json",
        run="cli.state:import_",
        options=(STACK, option("--file", metavar="FILE", default="-", help="the file (default: standard input)")),
    ),
    Command(
        name="stack output",
        summary="print the stack's outputs",
        example="chatdb stack output --stack dev --json",
        run="cli.state:output",
        options=(STACK, ENGINE, SHOW_SECRETS, JSON),
    ),
    Command(
        name="config set",
        summary="write one setting into the stack's file, encrypted where --secret is given",
        example="chatdb config set --stack prod --secret chatdb:password < password.txt",
        run="cli.config:config_set",
        options=(
            option("key", metavar="KEY", help="the setting, as chatdb:host"),
            option("value", metavar="VALUE", nargs="?", help="its value (default: asked for, or from standard input)"),
            option("--secret", action="store_true", help="encrypt it"),
            STACK,
        ),
        group_summary="the settings of a stack",
    ),
    Command(
        name="config list",
        summary="print the settings in the stack's file, secrets hidden",
        example="chatdb config list --stack prod",
        run="cli.config:config_list",
        options=(STACK, JSON),
    ),
    Command(
        name="config remove",
        summary="take one setting out of the stack's file; its default holds again",
        example="chatdb config remove --stack prod chatdb:promotionOverride",
        run="cli.config:config_remove",
        options=(option("key", metavar="KEY", help="the setting, as chatdb:host"), STACK),
    ),
    Command(
        name="completion",
        summary="print the completion script for a shell",
        example="chatdb completion bash > ~/.local/share/bash-completion/completions/chatdb",
        run="cli.completion:completion",
        options=(option("shell", choices=("bash", "zsh", "tcsh"), help="the shell"),),
    ),
)
