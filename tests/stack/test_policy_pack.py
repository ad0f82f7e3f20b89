"""The policy pack as the Pulumi CLI runs it: the SDK's `pulumi.policy` serves it, and its analyzer is asked over gRPC.

Needs the Python packages alone. Where the CLI is on PATH, `test_official_cli` previews with the pack.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.policy.rules import RULES
from infra.products import PROJECT_ROOT

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": "hush"}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
ROLE = "postgresql:index/role:Role"


@contextmanager
def served(**config: str) -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """Serve the pack for a stack with some configuration, as the language host of the CLI starts it."""
    values = ", ".join(f'"chatdb:{key}": "{value}"' for key, value in config.items())
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(PROJECT_ROOT / "policy")],
        cwd=PROJECT_ROOT / "policy",
        env={**os.environ, "PULUMI_CONFIG": f"{{{values}}}", "PULUMI_STACK": "prod", "PULUMI_PROJECT": "chatdb"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def production() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack for a production stack."""
    with served(production="true") as stub:
        yield stub


def request(kind: type[Any], type_: str, properties: dict[str, Any]) -> Any:
    message = kind(type=type_, urn=f"urn:pulumi:prod::chatdb::{type_}::it", name="it")
    ParseDict(properties, message.properties)
    return message


def analyzed(stub: analyzer_pb2_grpc.AnalyzerStub, type_: str, **properties: Any) -> dict[str, str]:
    """Return what the pack reports of a resource: the message of each policy."""
    answer = stub.Analyze(request(analyzer_pb2.AnalyzeRequest, type_, properties))
    return {one.policyName: one.message for one in answer.diagnostics}


def test_the_pack_names_every_rule_with_its_level(production: analyzer_pb2_grpc.AnalyzerStub) -> None:
    """Secrets are remediated: a validation of the CLI gets them in plain."""
    info = production.GetAnalyzerInfo(Empty())
    levels = {one.name: analyzer_pb2.EnforcementLevel.Name(one.enforcementLevel).lower() for one in info.policies}
    assert info.name == "chatdb"
    assert levels == {rule.name: rule.level for rule in RULES} | {"secrets-are-secret": "remediate"}


def test_a_violation_is_reported_in_three_parts(production: analyzer_pb2_grpc.AnalyzerStub) -> None:
    """By the same function as on the embedded engine; what is not known in a preview is passed over."""
    said = analyzed(production, ROLE, name="it", superuser=True, password=UNKNOWN)
    assert list(said) == ["no-superuser-like-roles"]
    assert said["no-superuser-like-roles"].endswith(
        "no-superuser-like-roles: it: the role is SUPERUSER\n"
        "  DETAIL: A role that serves a product must not be able to give itself more than it was given.\n"
        "  HINT: Leave superuser out; a role here serves one product."
    )
    assert analyzed(production, ROLE, name="it", superuser=False, password=UNKNOWN) == {}


def test_a_pending_migration_that_takes_something_away_needs_its_approval(
    production: analyzer_pb2_grpc.AnalyzerStub,
) -> None:
    """Read from the lines that the resource holds."""
    lines = ["-- migrate:up", "DROP TABLE a.b;", "-- migrate:down"]
    properties = {"migrations": {"0001_it": lines}, "pending": ["0001_it"]}
    type_ = "pulumi-python:dynamic/chatdb:Migrations"
    assert list(analyzed(production, type_, **properties)) == ["approved-destruction"]
    lines.insert(0, "-- approved: A. Person, empty since 0003")
    assert analyzed(production, type_, **properties) == {}


def test_what_only_production_asks_for_follows_the_stack(production: analyzer_pb2_grpc.AnalyzerStub) -> None:
    """As its configuration, which the CLI hands to the pack, marks it."""
    database = "postgresql:index/database:Database"
    assert list(analyzed(production, database, name="it")) == ["protected-databases-in-production"]
    with served() as dev:
        assert analyzed(dev, database, name="it") == {}
    with served(production="true", destroyConfirmation="DESTROY prod") as allowed:
        assert analyzed(allowed, database, name="it") == {}


def test_a_password_in_plain_is_made_a_secret(production: analyzer_pb2_grpc.AnalyzerStub) -> None:
    """And the other properties stay as they are, secrets among them."""

    def remediated(**properties: Any) -> list[dict[str, Any]]:
        answer = production.Remediate(request(analyzer_pb2.AnalyzeRequest, ROLE, properties))
        return [MessageToDict(one.properties) for one in answer.remediations]

    assert remediated(name="it", password=SECRET) == []
    assert remediated(name="it", password="hush", passwordWo=SECRET, roles=["a"]) == [
        {"name": "it", "password": SECRET, "passwordWo": SECRET, "roles": ["a"]}
    ]
