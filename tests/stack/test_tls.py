"""A stack on a server that takes logins over TLS alone, verified by a CA file: its life, its commands, and refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.test_bad_input import is_clean_error, write
from tests.support.project import Project
from tests.support.tls import TlsServer


@pytest.fixture(scope="module")
def secure(project: Project, tls_server: TlsServer) -> Iterator[Project]:
    """The stack `own` up, its CA file named relative to the project."""
    shutil.copy(tls_server.ca, project.folder / "ca.pem")
    write(project, tls_server.server, host="localhost", sslMode="verify-full", sslRootCert="ca.pem", standIns=True)
    project.succeed("up", "--stack", "own", "--yes")
    yield project
    project.succeed("destroy", "--stack", "own", "--yes")


def elsewhere(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `chatdb` in another folder, from where no relative path would be found."""
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd="/", env=project.variables(), capture_output=True, text=True, check=False)


def test_every_way_to_the_database_verifies_the_server(secure: Project, tmp_path: Path) -> None:
    """psql, the connection string, verify and backup, from another folder; up again has nothing to do."""
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    done = elsewhere(secure, "psql", "--stack", "own", "--product", "lyra", "--", "-Atc", query)
    assert (done.returncode, done.stdout) == (0, "t\n"), done.stderr
    address = elsewhere(secure, "url", "--stack", "own", "--product", "lyra", "--role", "migrator").stdout.strip()
    assert "sslmode=verify-full" in address
    assert elsewhere(secure, "verify", "--stack", "own", "--product", "lyra").returncode == 0
    backup = elsewhere(secure, "backup", "--stack", "own", "--product", "lyra", "--to", str(tmp_path))
    assert backup.returncode == 0, backup.stderr
    applied = secure.chatdb("apply", "--product", "lyra", "--owner", "lyra_owner", DATABASE_URL=address)
    assert applied.returncode == 0, applied.stderr
    assert secure.succeed("up", "--stack", "own", "--yes").startswith("nothing to do: ")


def test_a_server_that_is_not_the_one_meant_is_refused(secure: Project, tls_server: TlsServer) -> None:
    """By the stack and by `apply` alike, before anything is done; with the right name again it goes on."""
    file = secure.folder / "Pulumi.own.yaml"
    before = file.read_text()
    file.write_text(before.replace('"localhost"', '"127.0.0.1"').replace("host: localhost", "host: 127.0.0.1"))
    assert file.read_text() != before
    up = secure.chatdb("up", "--stack", "own", "--yes")
    file.write_text(before)
    assert is_clean_error(up, password=tls_server.server.password)
    assert "does not match host name" in up.stderr
    address = elsewhere(secure, "url", "--stack", "own", "--product", "lyra", "--role", "migrator").stdout.strip()
    ca = str(Path(secure.folder / "ca.pem")).replace("/", "%2F")
    assert ca in address
    foreign = address.replace(ca, str(tls_server.stranger).replace("/", "%2F"))
    apply = secure.chatdb("apply", "--product", "lyra", "--owner", "lyra_owner", DATABASE_URL=foreign)
    assert is_clean_error(apply)
    assert "certificate verify failed" in apply.stderr
    secure.succeed("up", "--stack", "own", "--yes")


def test_a_ca_file_that_is_not_there_is_said_before_anything_is_asked(project: Project, tls_server: TlsServer) -> None:
    write(project, tls_server.server, stack="lost", sslMode="verify-full", sslRootCert="certs/none.pem")
    done = project.chatdb("up", "--stack", "lost", "--yes")
    assert is_clean_error(done)
    assert "sslRootCert certs/none.pem does not exist" in done.stderr


def test_production_on_a_verified_server_takes_what_dev_has_released(
    project: Project, tls_server: TlsServer, tmp_path: Path
) -> None:
    """From dev to a production whose every connection is verified, to its end; less than `require` is a mistake."""
    shutil.copy(tls_server.ca, project.folder / "ca.pem")
    production = {
        "products": ["robotics"],
        "production": True,
        "onDestroy": "drop",
        "promoteFrom": "dev",
        "host": "localhost",
        "sslMode": "verify-full",
        "sslRootCert": "ca.pem",
        "destroyConfirmation": "DESTROY live",
        "backupTo": str(tmp_path),
    }
    project.succeed("config", "set", "--stack", "dev", "chatdb:products", '["robotics"]')
    project.succeed("up", "--stack", "dev", "--yes")
    write(project, tls_server.server, stack="live", **{**production, "sslMode": "prefer"})
    assert "chatdb:sslMode" in project.chatdb("promote", "--to", "live", "--yes").stderr
    write(project, tls_server.server, stack="live", **production)
    missing = project.chatdb("promote", "--to", "live", "--yes")
    assert is_clean_error(missing, password=tls_server.server.password)
    assert "public.users" in missing.stderr
    psql = ("psql", "--stack", "live", "--product", "robotics", "--role", "administrator", "--")
    project.succeed(*psql, "-f", "schema/robotics/stand_ins.sql")
    done = json.loads(project.succeed("promote", "--to", "live", "--yes", "--json"))
    assert (done["promoted"], done["products"]["robotics"]["verified"]) == (True, True)
    assert "nothing to promote" in project.succeed("promote", "--to", "live")
    app = ("psql", "--stack", "live", "--product", "robotics", "--", "-Atc")
    assert project.succeed(*app, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t\n"
    assert "sslmode=verify-full" in project.succeed("url", "--stack", "live", "--product", "robotics")
    assert project.succeed("destroy", "--stack", "live", "--yes").endswith("stack live is gone\n")
    assert len(list(tmp_path.rglob("manifest.json"))) == 1
    project.succeed("destroy", "--stack", "dev", "--yes")
