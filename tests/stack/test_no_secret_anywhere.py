"""No secret in any place but its own, over the whole life of a stack and on its failures.

One life is led, all that it leaves or shows is collected on the way, and every secret is looked for in all of it.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import pytest
from psycopg import sql

from embedded.server import ServerFile
from infra import products
from infra.connection import connect
from infra.credentials import scram_verifier
from tests.support.postgres import drop_database, running_server, unique
from tests.support.project import Project, copied_project
from tests.support.watching import Seen, watching

STACK, NEXT = "life", "next"
PRODUCT = "storefront"
# A password as people choose them: whatever quotes or escapes it must not let it through in another spelling.
WRITTEN = "p%a$s'w\"o{r}d /\\:@&" + secrets.token_hex(4)
WRONG = "wrong%20'" + secrets.token_hex(8)
FAILING = """-- Fails on its second statement. Locks nothing.

-- migrate:up

-- The first half.
COMMENT ON TABLE public.chat_messages IS 'half of it';

-- The other half.
DO $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;

-- migrate:down

-- As it was.
COMMENT ON TABLE public.chat_messages IS NULL;
"""


@dataclass
class Life:
    """A stack and what it has shown.

    Attributes:
        project: Where it is.
        passwords: Secrets as they are typed or generated, by what they are.
        verifiers: What PostgreSQL keeps for them: in its own log, not elsewhere.
        shown: Every text that was collected, by where it was.
        seen: What others could see meanwhile.
    """

    project: Project
    passwords: dict[str, str] = field(default_factory=dict)
    verifiers: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    log: str = ""
    seen: Seen = field(default_factory=Seen)

    def run(self, *arguments: str, expected: int = 0, typed: str = "", **variables: str) -> CompletedProcess[str]:
        """Run a command, keep what it says, and then every file that it left."""
        done = self.project.chatdb(*arguments, typed=typed, **variables)
        said = done.stdout + done.stderr
        assert done.returncode == expected, f"{arguments}\n{said}"
        assert "Traceback" not in said
        self.shown[f"{len(self.shown)}: chatdb {' '.join(arguments)}"] = said
        self.files()
        return done

    def files(self) -> None:
        """Keep every file of the stack as it is now, but for the passphrase, which is where it belongs."""
        own = self.project.folder
        for path in [*own.glob(".chatdb/**/*"), *own.glob("Pulumi.*.yaml"), *(own / "temporary").glob("**/*")]:
            if path.is_file() and path.name != "passphrase":
                text = path.read_bytes().decode(errors="replace")
                self.shown[f"{len(self.shown)}: {path.relative_to(own)}"] = text

    def learn(self, server: ServerFile, stack: str = STACK) -> None:
        """Get to know the stack's secrets: its passphrase, the generated passwords and their verifiers."""
        folder = self.project.folder / ".chatdb" / stack
        self.passwords[f"passphrase of {stack}"] = (folder / "passphrase").read_text().strip()
        done = self.project.chatdb("stack", "output", "--stack", stack, "--json", "--show-secrets")
        for logins in json.loads(done.stdout).get("connections", {}).values():
            for login in logins.values():
                self.passwords[f"password {len(self.passwords)} of {login['user']}"] = login["password"]
        with connect(server.target()) as connection:
            for name, verifier in connection.execute(
                "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"
            ):
                self.verifiers[f"verifier of {name} {len(self.verifiers)}"] = verifier


def lead(life: Life, server: ServerFile, admin: str, other: ServerFile) -> None:
    """Lead the life of a stack: mistakes, failures, two updates, every way to look at it, its end.

    Args:
        life: What is collected.
        server: Its server.
        admin: Its administrator.
        other: The server of a stack that takes from it.
    """
    settings = {
        "products": [PRODUCT],
        "host": server.host,
        "port": server.port,
        "username": admin,
        "superuser": True,
        "sslMode": "disable",
        "standIns": True,
        "onDestroy": "drop",
    }
    project, run = life.project, life.run
    up = ("up", "--stack", STACK, "--yes")
    stack_file = project.folder / f"Pulumi.{STACK}.yaml"
    set_password = ("config", "set", "--stack", STACK, "--secret", "chatdb:password")

    # Settings that are refused: the password in plain text, and a wrong key beside it.
    project.write_stack(STACK, {**settings, "password": WRITTEN, "prot": 1})
    refused = project.chatdb(*up)
    assert refused.returncode == 1
    life.shown["refused settings"] = refused.stdout + refused.stderr

    # A wrong password, a server that is not there.
    project.write_stack(STACK, settings)
    run(*set_password, typed=f"{WRONG}\n")
    run("preview", "--stack", STACK)
    run(*up, expected=1)
    run(*set_password, typed=f"{WRITTEN}\n")
    encrypted = stack_file.read_text()
    run("config", "set", "--stack", STACK, "chatdb:port", "1")
    run(*up, expected=1)
    stack_file.write_text(encrypted)

    # A migration that fails in the first update; what came before it stands.
    failing = project.folder / "schema/storefront/migrations/0006_fail.sql"
    failing.write_text(FAILING)
    shape = project.folder / "schema/storefront/snapshots/0006.json"
    shutil.copy(shape.with_name("0005.json"), shape)
    run(*up, expected=1)
    life.learn(server)
    failing.unlink()
    shape.unlink()

    run("preview", "--stack", STACK)
    run(*up)
    life.learn(server)
    run(*up, "--json")
    for command in ("preview", "refresh"):
        run(command, "--stack", STACK, *(("--yes",) if command == "refresh" else ("--json",)))
    for command in ("verify", "access", "history", "status"):
        run(command, "--stack", STACK, "--product", PRODUCT, "--json")
    # Every statement is logged here: the audit finds that.
    run("audit", "--stack", STACK, "--json", "--sarif", str(project.folder / "temporary/audit.sarif"), expected=2)
    run("sql", "--product", PRODUCT)
    exported = run("stack", "export", "--stack", STACK).stdout
    (project.folder / "temporary/exported.json").write_text(exported)
    run("stack", "import", "--stack", STACK, "--file", str(project.folder / "temporary/exported.json"))
    run("stack", "output", "--stack", STACK)
    run("backup", "--stack", STACK, "--product", PRODUCT, "--to", str(project.folder / "temporary/backups"))
    (place,) = (project.folder / "temporary/backups").glob("*/*/*")
    restore = ("restore", "--stack", STACK, "--product", PRODUCT, "--from", str(place), "--into", "storefront_then")
    run(*restore)
    run(*restore, expected=1)
    for _ in range(2):
        run("rotate", "--stack", STACK, "--yes", "--even-if-used")
        life.learn(server)
    promoted(life, other)
    run("psql", "--stack", STACK, "--product", PRODUCT, "--", "-Atc", "SELECT current_user")
    run(
        "rollback",
        "--stack",
        STACK,
        "--product",
        PRODUCT,
        "--to",
        "-1",
        "--confirm",
        products.load(PRODUCT).confirmation,
    )
    run("promote", "--from", STACK, "--to", NEXT, "--yes", expected=1)

    # One database without a stack: a connection string that is right, and one that is not.
    migrator = project.chatdb("url", "--stack", STACK, "--product", PRODUCT, "--role", "migrator").stdout.strip()
    right, _, where = migrator.rpartition("@")
    wrong = f"{right.rpartition(':')[0]}:{quote(WRONG, safe='')}@{where}"
    direct = ("--product", PRODUCT, "--owner", "storefront_owner")
    run("apply", *direct, DATABASE_URL=migrator)
    for command in ("apply", "history"):
        run(command, *direct, expected=1, DATABASE_URL=wrong)

    # An update that fails at the audit, one that fails at a lost login, and the end.
    run("config", "set", "--stack", STACK, "chatdb:auditOnUp", "fail")
    run(*up, expected=1)
    run("config", "set", "--stack", STACK, "chatdb:auditOnUp", "off")
    with another_password(server, "storefront_migrator"):
        run(*up, expected=1)
    run(*up)
    with another_password(other, "storefront_migrator"):
        run("promote", "--from", STACK, "--to", NEXT, "--yes", expected=1)
    rows(life, server)
    # The restored database is nobody's of the stack, and its objects are the roles'.
    run("destroy", "--stack", STACK, "--yes", expected=1)
    drop_database(server, "storefront_then")
    run("destroy", "--stack", STACK, "--yes")


def promoted(life: Life, other: ServerFile) -> None:
    """Promote to a stack on another server, and get to know its secrets."""
    (life.project.folder / "other.json").write_text(json.dumps(asdict(other)), encoding="utf-8")
    life.passwords["other administrator's"] = other.password
    settings = {"serverFile": "other.json", "products": [PRODUCT], "standIns": True, "onDestroy": "drop"}
    life.project.write_stack(NEXT, {**settings, "promoteFrom": STACK})
    life.run("promote", "--from", STACK, "--to", NEXT, "--yes", "--json")
    life.learn(other, NEXT)


@contextmanager
def another_password(server: ServerFile, role: str) -> Iterator[None]:
    """Give a role a password that the stack does not know, for the length of the block."""
    change = sql.SQL("ALTER ROLE {} PASSWORD {}")
    with connect(server.target()) as connection:
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()
        assert row is not None
        for verifier in (scram_verifier(WRONG, salt=secrets.token_bytes(16)), row[0]):
            connection.execute(change.format(sql.Identifier(role), sql.Literal(verifier)))
            if verifier != row[0]:
                yield


def log_of(server: ServerFile) -> str:
    """Return a server's log."""
    with connect(server.target()) as connection:
        folder = connection.execute("SELECT current_setting('data_directory')").fetchone()
    assert folder is not None
    return (Path(folder[0]).parent / "server.log").read_text(errors="replace")


def rows(life: Life, server: ServerFile) -> None:
    """Keep every row of the ledger, every comment and every setting of a role."""
    with connect(server.target(products.load(PRODUCT).database)) as connection:
        for query in (
            "SELECT l::text FROM chatdb.ledger AS l",
            "SELECT h::text FROM chatdb.head AS h",
            "SELECT description FROM pg_description UNION ALL SELECT description FROM pg_shdescription",
            "SELECT s::text FROM pg_db_role_setting AS s",
        ):
            texts = [str(row[0]) for row in connection.execute(query.encode())]
            life.shown[query] = "\n".join(texts)


@pytest.fixture(scope="module")
def life(own_server: ServerFile) -> Iterator[Life]:
    """A whole life of a stack, led to its end, on a server that logs everything."""
    admin = unique("admin")
    with connect(own_server.target()) as connection:
        # A control: what is looked for can be found in the log.
        verifier = scram_verifier(WRITTEN, salt=secrets.token_bytes(16))
        connection.execute(
            sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(sql.Identifier(admin), sql.Literal(verifier))
        )
        for setting, value in (
            ("log_statement", "all"),
            ("log_min_duration_statement", "0"),
            ("log_min_error_statement", "error"),
            ("log_min_messages", "debug1"),
            ("log_error_verbosity", "verbose"),
            ("log_connections", "on"),
            ("log_replication_commands", "on"),
        ):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(setting), sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")
    with copied_project() as copy:
        (copy.folder / "temporary").mkdir()
        project = copy.with_environment(TMPDIR=str(copy.folder / "temporary"))
        found = Life(project, passwords={"administrator's": WRITTEN, "wrong": WRONG})
        with (
            running_server() as other,
            watching(own_server.target(), mark=str(copy.folder)) as found.seen,
        ):
            lead(found, own_server, admin, other)
            found.log = log_of(other)
        found.log += log_of(own_server)
        yield found


def spellings(secret: str) -> set[str]:
    """Return a secret as it may stand in a text: itself, in a URL, in JSON, in SQL, in base64."""
    return {
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        secret.replace("'", "''"),
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode().rstrip("="),
    }


def places(texts: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return each place in which one of the secrets stands, with what it is; never the secret."""
    return [
        f"{name} in {place}"
        for place, text in texts.items()
        for name, secret in wanted.items()
        if any(spelling in text for spelling in spellings(secret))
    ]


def test_what_is_looked_for_would_be_found(life: Life) -> None:
    """The collection is no empty one: each part holds what only that part could, and each spelling is recognised."""
    assert {name.rpartition(" ")[2] for name in life.passwords} >= {
        "storefront_app",
        "storefront_migrator",
        STACK,
        NEXT,
    }
    assert any("promote" in place for place in life.shown)
    assert any("SCRAM-SHA-256" in verifier for verifier in life.verifiers.values())
    assert places({"server.log": life.log}, life.verifiers) != []
    assert any("stack.json" in place for place in life.shown)
    assert any(b"postgres" in line for line in life.seen.command_lines)
    assert any(b"CHATDB_PROJECT=" in variable for variable in life.seen.environments)
    assert any("chatdb" in statement for statement in life.seen.statements)
    assert life.seen.problems == []
    for spelling in spellings(WRITTEN):
        assert places({"here": f"x{spelling}y"}, {"it": WRITTEN}) == ["it in here"]


def test_no_password_in_output_state_files_ledger_or_error(life: Life) -> None:
    """Whatever a command printed, whatever file it left, whatever row it wrote; verifiers neither."""
    assert places(life.shown, {**life.passwords, **life.verifiers}) == []


def test_no_password_in_the_log_of_the_server(life: Life) -> None:
    """With every statement, duration and error logged. Verifiers are what PostgreSQL gets in place of passwords."""
    assert places({"server.log": life.log}, life.passwords) == []


def test_no_password_in_the_process_list_nor_in_what_a_session_does(life: Life) -> None:
    """Command lines of every process of the machine, environments of ours, `pg_stat_activity`."""
    texts = {
        "command lines": b"\n".join(life.seen.command_lines).decode(errors="replace"),
        "environments": b"\n".join(
            one for one in life.seen.environments if not one.startswith(b"DATABASE_URL=")
        ).decode(errors="replace"),
        "pg_stat_activity": "\n".join(life.seen.statements),
    }
    assert places(texts, life.passwords) == []
