"""Spans of a run, as an OpenTelemetry collector gets them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from infra.connection import Target, connect
from infra.version import VERSION
from tests.cli.conftest import Shell
from tests.support.collector import Collector, collecting
from tests.support.postgres import unique

Make = Callable[..., Target]
FIRST = "0001_create_chat_messages"
PARENT = {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def sent(collector: Collector) -> dict[str, str]:
    """Return the variables that name a collector."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}


def test_a_run_its_migrations_and_its_recorded_statements_are_spans(product_database: Make, shell: Shell) -> None:
    """Each within the other, within the pipeline's own span; with the database and nothing secret."""
    target = product_database("lyra")
    with collecting() as collector:
        shell.done(target, "apply", "--product", "lyra", **sent(collector), **PARENT)
    assert collector.tree() == {
        "chatdb apply": "b7ad6b7169203331",
        "connecting": "chatdb apply",
        FIRST: "chatdb apply",
        "0002_index_history": "chatdb apply",
        "0002_index_history statement 1": "0002_index_history",
        "0003_vacuum_after_inserts": "chatdb apply",
        "verifying": "chatdb apply",
    }
    assert {span.trace_id.hex() for span in collector.spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert (collector.resource["service.name"], VERSION) == ("chatdb", collector.scope_version)
    run = next(span for span in collector.spans if span.name == "chatdb apply")
    assert {one.key: one.value.string_value or one.value.int_value for one in run.attributes} == {
        "db.system.name": "postgresql",
        "db.namespace": target.database,
        "server.address": target.host,
        "server.port": target.port,
    }


def test_they_are_sent_where_pulumi_s_sdk_is_loaded_too(product_database: Make, own_shell: Shell) -> None:
    """It makes a tracer of its own in a process that has TRACEPARENT, as in an `up` in a pipeline; it sends nothing."""
    target = product_database("lyra")
    (own_shell.project.folder / "sitecustomize.py").write_text("import pulumi.runtime\n")
    with collecting() as collector:
        own_shell.done(target, "apply", "--product", "lyra", **sent(collector), **PARENT)
    assert collector.tree()["chatdb apply"] == "b7ad6b7169203331"


def test_under_pulumi_they_go_where_its_own_go(product_database: Make, shell: Shell) -> None:
    """Its process for dynamic resources is told the collector of `--otel-traces` by a variable of its own."""
    target = product_database("lyra")
    with collecting() as collector:
        pulumis = collector.endpoint.removeprefix("http://")
        shell.done(target, "apply", "--product", "lyra", PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT=pulumis)
    assert "chatdb apply" in collector.tree()


def test_what_failed_is_marked_by_its_sqlstate_without_its_details(product_database: Make, own_shell: Shell) -> None:
    """The span of the migration and those around it; the row that was in the way stays in the database."""
    target = product_database("lyra")
    secret = unique("word")
    file = own_shell.project.folder / "schema/lyra/migrations" / f"{FIRST}.sql"
    text = file.read_text()
    file.write_text(text.replace("-- migrate:down", f"SELECT '{secret}'::int;\n\n-- migrate:down"))
    with collecting() as collector:
        done = own_shell.run(target, "apply", "--product", "lyra", **sent(collector))
    assert done.returncode == 1
    failed = {span.name: span for span in collector.spans if span.status.code == span.status.STATUS_CODE_ERROR}
    assert set(failed) == {"chatdb apply", FIRST}
    assert failed[FIRST].status.message.startswith(f"migration {FIRST} failed at line ")
    told = {one.key: one.value.string_value for one in failed[FIRST].attributes}
    assert (told["db.response.status_code"], told["error.type"]) == ("22P02", "MigrationFailedError")
    assert secret in done.stderr
    assert secret not in str(collector.spans)


def test_who_is_in_the_way_is_an_event_of_the_span(product_database: Make, shell: Shell) -> None:
    """At the time at which it was seen."""
    target = product_database("lyra")
    shell.done(target, "apply", "--product", "lyra", "--to", "2")
    with collecting() as collector, connect(target.to(application_name="report")) as report:
        report.execute("BEGIN; LOCK TABLE public.chat_messages IN SHARE UPDATE EXCLUSIVE MODE")
        threading.Timer(3, report.rollback).start()
        shell.done(target, "apply", "--product", "lyra", **sent(collector))
        pid = report.info.backend_pid
    span = next(span for span in collector.spans if span.name == "0003_vacuum_after_inserts")
    said = [one.value.string_value for event in span.events for one in event.attributes if event.name == "waiting"]
    assert f"pid {pid}, {target.user} (report), idle in transaction for " in said[0]


def test_a_collector_that_does_not_answer_stops_nothing_and_is_told(product_database: Make, shell: Shell) -> None:
    """The run comes to its end, and one line says that its trace did not."""
    target = product_database("lyra")
    with collecting() as collector:
        nobody = sent(collector)
    done = shell.run(target, "apply", "--product", "lyra", **nobody)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no trace of this reached the collector" in done.stdout
    assert done.stdout.endswith("lyra is at 0003\n")


def test_a_variable_that_cannot_be_taken_stops_nothing_and_is_told(product_database: Make, shell: Shell) -> None:
    """A pipeline sets them for whatever runs in it."""
    target = product_database("lyra")
    with collecting() as collector:
        done = shell.run(target, "apply", "--product", "lyra", **sent(collector), OTEL_EXPORTER_OTLP_TIMEOUT="3s")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "no trace is made, for a variable OTEL_… cannot be taken: could not convert string to float: '3s'"
        in done.stdout
    )
    assert done.stdout.endswith("lyra is at 0003\n")


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_who_wants_no_traces_gets_none_and_no_word_of_them(
    product_database: Make, shell: Shell, off: dict[str, str]
) -> None:
    """By the standard's variables, where the endpoint is there for metrics or logs."""
    target = product_database("lyra")
    with collecting() as collector:
        assert "trace" not in shell.done(target, "apply", "--product", "lyra", **sent(collector), **off)
    assert collector.spans == []


def test_without_a_collector_nothing_of_it_is_loaded(product_database: Make, shell: Shell) -> None:
    """Nothing to do must cost little more than connecting."""
    target = product_database("lyra")
    done = shell.run(target, "apply", "--product", "lyra", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "infra.migrations.tracing" in done.stderr
    assert "opentelemetry" not in done.stderr
