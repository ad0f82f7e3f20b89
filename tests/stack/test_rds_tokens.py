"""A stack whose administrator and migrators log in by RDS IAM tokens: its life, and no token kept anywhere."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from tests.stack.test_bad_input import is_clean_error
from tests.support.aws import REGION, Aws
from tests.support.project import Project
from tests.support.rds import NAME, Rds


def write(project: Project, rds: Rds) -> None:
    """Write the stack `rds`."""
    shutil.copy(rds.ca, project.folder / "rds.pem")
    settings = {
        "products": ["lyra"],
        "host": NAME,
        "port": rds.port,
        "username": rds.admin,
        "iamAuthentication": True,
        "awsRegion": REGION,
        "sslMode": "verify-full",
        "sslRootCert": "rds.pem",
        "onDestroy": "drop",
        "standIns": True,
    }
    project.write_stack("rds", settings)


@pytest.fixture
def stack(project: Project, cloud: Aws, rds: Rds) -> Iterator[Project]:
    """The stack `rds`, not up yet; the region is in its file, the credentials in the environment."""
    write(project, rds)
    ready = project.with_environment(**cloud.credentials)
    yield ready
    ready.succeed("destroy", "--stack", "rds", "--yes")


def test_a_stack_lives_by_tokens(stack: Project, rds: Rds) -> None:
    rds.tokens.clear()
    refused = stack.chatdb("up", "--stack", "rds", "--yes", AWS_SECRET_ACCESS_KEY="another")
    assert is_clean_error(refused)
    assert f"Grant rds_iam to {rds.admin}, and allow rds-db:connect" in refused.stderr
    assert rds.tokens == []

    stack.succeed("up", "--stack", "rds", "--yes")
    users = Counter(user for user, _ in rds.tokens)
    assert set(users) == {rds.admin, "lyra_migrator"}
    # Nothing of a token in the state or the outputs, so that no preview shows one as a change.
    outputs = stack.succeed("stack", "output", "--stack", "rds", "--json", "--show-secrets")
    assert "X-Amz" not in json.dumps(stack.state("rds")) + outputs
    assert stack.succeed("up", "--stack", "rds", "--yes").startswith("nothing to do: ")
    stack.succeed("verify", "--stack", "rds", "--product", "lyra")

    # The migrator's connection string carries a token of its own; the service logs in by its password as ever.
    migrator = stack.succeed("url", "--stack", "rds", "--product", "lyra", "--role", "migrator").strip()
    assert "X-Amz-Signature" in migrator
    stack.succeed("apply", "--product", "lyra", "--owner", "lyra_owner", DATABASE_URL=migrator)
    app = json.loads(outputs)["connections"]["lyra"]["app"]
    psycopg.connect(
        host=NAME, port=rds.port, dbname="lyra", sslmode="require", user=app["user"], password=app["password"]
    ).close()
