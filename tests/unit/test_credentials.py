"""Generated passwords and their SCRAM verifiers."""

from __future__ import annotations

import psycopg

from embedded.server import ServerFile
from infra.credentials import CredentialProvider, scram_verifier


def test_a_role_made_with_the_verifier_logs_in_with_the_password(server: ServerFile) -> None:
    """PostgreSQL takes our verifier as it is, and the password that belongs to it opens a session."""
    made = CredentialProvider().create({"role": "verifier_probe", "rotation": 1}).outs
    assert made is not None
    target = server.target()
    with psycopg.connect(**target.parameters(), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS verifier_probe")
        admin.execute(f"CREATE ROLE verifier_probe LOGIN PASSWORD '{made['verifier']}'")
        stored = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'verifier_probe'").fetchone()
        login = target.to(user="verifier_probe", password=made["password"])
        with psycopg.connect(**login.parameters()) as session:
            user = session.execute("SELECT current_user").fetchone()
        admin.execute("DROP ROLE verifier_probe")
    assert stored == (made["verifier"],)
    assert user == ("verifier_probe",)


def test_the_verifier_is_that_of_the_rfc_form() -> None:
    """The same password, salt and rounds give the same text; its parts are in PostgreSQL's order."""
    verifier = scram_verifier("pencil", salt=b"0123456789abcdef", iterations=4096)
    assert verifier == scram_verifier("pencil", salt=b"0123456789abcdef", iterations=4096)
    assert verifier.startswith("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")


def test_two_credentials_differ() -> None:
    """Every password is its own."""
    provider = CredentialProvider()
    one, two = (provider.create({"role": "r", "rotation": 1}).outs or {} for _ in range(2))
    assert one["password"] != two["password"]
    assert len(one["password"]) == 32


def test_only_a_changed_role_or_rotation_makes_a_new_password() -> None:
    """The same inputs keep the password; a higher rotation changes it."""
    provider = CredentialProvider()
    old = {"role": "r", "rotation": 1, "password": "p", "verifier": "v"}
    assert provider.diff("r", old, {"role": "r", "rotation": 1}).changes is False
    assert provider.diff("r", old, {"role": "r", "rotation": 2}).changes is True
