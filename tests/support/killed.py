"""A run that was killed while a statement ran, and one that fails each time, for the tests of what comes after."""

from __future__ import annotations

import pytest

from infra.connection import Target, connect
from infra.migrations import ledger, runner, statements
from infra.migrations.failures import MigrationFailedError
from infra.migrations.model import Migration
from infra.migrations.options import Options


def killed_in_statement(target: Target, migrations: tuple[Migration, ...], number: int) -> None:
    """Put database and ledger where a run leaves them that was killed while this statement of the second file ran."""
    runner.apply(target, migrations, options=Options(), to=1)
    migration = migrations[1]
    parts = statements.split(migration)
    done = number - 1
    with connect(target) as connection:
        for part in parts[:done]:
            connection.execute(part.text.encode())
        connection.execute(ledger.begin(migration, "up", len(parts)))
        digest = statements.digest(parts, done)
        connection.execute(ledger.progress(migration, "up", begun=number, done=done, total=len(parts), digest=digest))


def assert_fails_each_time(target: Target, migrations: tuple[Migration, ...], sqlstate: str) -> None:
    """Apply twice: what the server has said to have failed is not believed to be done the next time."""
    for _ in range(2):
        with pytest.raises(MigrationFailedError) as caught:
            runner.apply(target, migrations, options=Options())
        assert caught.value.sqlstate == sqlstate
