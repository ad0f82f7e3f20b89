"""The review of access as a dynamic resource, called as Pulumi calls it: check, diff, create, update, read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pulumi.output import UNKNOWN

from infra.access_resource import AccessProvider, AuditFailedError
from infra.connection import connect
from tests.support.standing import Standing, run

provider = AccessProvider()
MORE_FOR_APP = (
    "GRANT DELETE ON public.chat_messages TO lyra_app",
    "REVOKE DELETE ON public.chat_messages FROM lyra_app",
)
TEMP_FOR_ALL = ("GRANT TEMP ON DATABASE lyra TO PUBLIC", "REVOKE TEMP ON DATABASE lyra FROM PUBLIC")
A_STRANGER = (
    "CREATE ROLE snoop; GRANT TRUNCATE ON public.chat_messages TO snoop",
    "DROP OWNED BY snoop; DROP ROLE snoop",
)
SNOOPS = "snoop has TRUNCATE on public.chat_messages, which is not declared: granted by lyra_owner"


def inputs(standing: Standing, **changes: Any) -> dict[str, Any]:
    """Return what the program gives for lyra."""
    target = standing.server.target("lyra")
    return {
        "product": "lyra",
        "host": target.host,
        "port": target.port,
        "database": target.database,
        "user": target.user,
        "password": target.password,
        "sslMode": target.sslmode,
        "sslRootCert": "",
        "auditOnUp": "report",
        **changes,
    }


def checked(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    result = provider.check(olds, news)
    assert result.failures == []
    return result.inputs


def is_changed(outs: dict[str, Any], news: dict[str, Any]) -> bool:
    return bool(provider.diff("id", outs, news).changes)


@pytest.fixture
def made(standing: Standing) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of the resource after an update in which nothing was off."""
    news = checked({}, inputs(standing))
    outs = provider.create(news).outs
    assert outs is not None
    return news, outs


@contextmanager
def done(standing: Standing, change: tuple[str, str]) -> Iterator[None]:
    """Do something in lyra as superuser, and undo it at the end."""
    with connect(standing.server.target("lyra")) as connection:
        run(connection, change[0])
        try:
            yield
        finally:
            run(connection, change[1])


def test_in_a_first_preview_every_declared_right_is_a_gain(standing: Standing) -> None:
    """The password is not known yet, or the database is still to be made."""
    for news in (inputs(standing, password=UNKNOWN), inputs(standing, database="not_there")):
        changes = checked({}, news)["changes"]
        assert "lyra_app gains SELECT, INSERT on public.chat_messages" in changes
        assert "lyra_app may log in" in changes
        assert "lyra_migrator becomes a member of lyra_owner (SET, INHERIT)" in changes
        assert all(" loses " not in sentence for sentence in changes)


def test_what_stands_as_declared_changes_for_nobody(standing: Standing, made: tuple[Any, Any]) -> None:
    """No sentence, no update, and a refresh finds nothing either."""
    news, outs = made
    assert {"changes", "repairs", "drift", "findings"}.isdisjoint(news)
    assert (outs["drift"], outs["findings"]) == ([], [])
    assert outs["audit"] == {"rules": 51, "findings": 0, "unchecked": []}
    again = checked(news, inputs(standing))
    assert again == news
    assert not is_changed(outs, again)
    assert provider.read("id", outs).outs == outs


def test_a_right_on_a_declared_object_is_told_before_and_taken_back(standing: Standing, made: tuple[Any, Any]) -> None:
    """Whoever granted it; then nothing is left, and a refresh with the inputs of before finds nothing to do."""
    news, outs = made
    with done(standing, MORE_FOR_APP), done(standing, TEMP_FOR_ALL):
        seen = checked(news, inputs(standing))
        assert seen["changes"] == ["lyra_app loses DELETE on public.chat_messages", "PUBLIC loses TEMP on lyra"]
        assert is_changed(outs, seen)
        after = provider.update("id", outs, seen).outs
        assert after is not None
        assert (after["drift"], after["findings"]) == ([], [])
        assert not is_changed(after, seen)
        clean = checked(seen, inputs(standing))
        assert "changes" not in clean
        assert not is_changed(after, clean)


def test_the_same_right_given_once_more_is_taken_back_once_more(standing: Standing, made: tuple[Any, Any]) -> None:
    """Nothing of the first time makes the second look settled."""
    news, outs = made
    for _ in range(2):
        with done(standing, MORE_FOR_APP):
            news = checked(news, inputs(standing))
            assert is_changed(outs, news)
            outs = provider.update("id", outs, news).outs


def test_a_missing_right_is_a_gain_and_given(standing: Standing, made: tuple[Any, Any]) -> None:
    """What somebody revoked by hand comes back."""
    news, outs = made
    with done(standing, (MORE_FOR_APP[1].replace("DELETE", "INSERT"), MORE_FOR_APP[0].replace("DELETE", "INSERT"))):
        seen = checked(news, inputs(standing))
        assert seen["changes"] == ["lyra_app gains INSERT on public.chat_messages"]
        provider.update("id", outs, seen)
        assert "changes" not in checked(seen, inputs(standing))


def test_a_right_of_a_stranger_is_named_and_left(standing: Standing, made: tuple[Any, Any]) -> None:
    """With its mend; once it is known, a further update has nothing to do."""
    news, outs = made
    with done(standing, A_STRANGER):
        seen = checked(news, inputs(standing))
        assert [one["sentence"] for one in seen["drift"]] == [SNOOPS]
        assert is_changed(outs, seen)
        after = provider.update("id", outs, seen).outs
        assert after is not None
        assert after["drift"] == [
            {"sentence": SNOOPS, "mend": "REVOKE TRUNCATE ON TABLE public.chat_messages FROM snoop"}
        ]
        assert [(one["rule"], one["object"]) for one in after["findings"]] == [
            ("privilege-around-policies", "public.chat_messages")
        ]
        assert after["audit"]["findings"] == 1
        assert not is_changed(after, checked(seen, inputs(standing)))
    assert is_changed(after, checked(seen, inputs(standing)))


def test_what_the_administrator_may_not_mend_is_named_with_the_reason_and_tried_once(standing: Standing) -> None:
    """As the right of PUBLIC to create in `public` on PostgreSQL 14, where that schema is the server's superuser's."""
    role = (
        "CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT CONNECT ON DATABASE lyra TO weak; "
        "GRANT SELECT ON public.chat_messages TO weak",
        "DROP OWNED BY weak; DROP ROLE weak",
    )
    with done(standing, role), done(standing, MORE_FOR_APP):
        news = checked({}, inputs(standing, user="weak", password="weak"))
        outs = provider.create(news).outs
        assert outs is not None
        reasons = {one["sentence"]: one["reason"] for one in outs["drift"] if "reason" in one}
        (sentence,) = reasons
        assert sentence == "lyra_app has DELETE on public.chat_messages, which is not declared: granted by lyra_owner"
        assert reasons[sentence].startswith("no privileges could be revoked")
        assert "weak may not act as lyra_owner" in reasons[sentence]
        assert not is_changed(outs, checked(news, inputs(standing, user="weak", password="weak")))


def test_a_finding_fails_the_update_where_the_stack_says_so(standing: Standing, made: tuple[Any, Any]) -> None:
    """In three parts with the statement that mends it, each time until it is mended; `off` does not ask."""
    _, outs = made
    with done(standing, A_STRANGER):
        news = checked({}, inputs(standing, auditOnUp="fail"))
        for act in (lambda: provider.create(news), lambda: provider.update("id", outs, news)):
            with pytest.raises(AuditFailedError) as failed:
                act()
            assert str(failed.value) == (
                "lyra breaks the security baseline in 1 place\n"
                "DETAIL: \n  privilege-around-policies  public.chat_messages: snoop has TRUNCATE\n"
                "HINT: Mend them, then run it again:\n  REVOKE TRUNCATE ON TABLE public.chat_messages FROM snoop;\n"
                "STATE: What the program declares is made; the update counts as failed, as chatdb:auditOnUp says."
            )
        off = provider.create(checked({}, inputs(standing, auditOnUp="off"))).outs
        assert off is not None
        assert off["audit"] == {"rules": 0, "findings": 0, "unchecked": []}
    assert provider.create(checked({}, inputs(standing, auditOnUp="fail"))).id == "lyra-access"


def test_what_a_refresh_saw_fails_the_next_update_all_the_same(standing: Standing) -> None:
    """A refresh takes the finding into the state; it is no less a finding."""
    strict = inputs(standing, auditOnUp="fail")
    news = checked({}, strict)
    outs = provider.create(news).outs
    assert outs is not None
    with done(standing, A_STRANGER):
        read = provider.read("id", outs).outs
        assert read is not None
        assert is_changed(read, checked(news, strict))


def test_what_is_not_declared_any_more_is_taken_back(standing: Standing, made: tuple[Any, Any]) -> None:
    """A right that the last update declared, and this one does not, is the program's to take."""
    news, outs = made
    former = {**news["declared"], "lyra_readonly": {"table public.chat_messages": ["SELECT", "DELETE"]}}
    with done(standing, (MORE_FOR_APP[0].replace("_app", "_readonly"), MORE_FOR_APP[1].replace("_app", "_readonly"))):
        seen = checked({**news, "declared": former}, inputs(standing))
        assert seen["changes"] == ["lyra_readonly loses DELETE on public.chat_messages"]
        after = provider.update("id", {**outs, "declared": former}, seen).outs
        assert after is not None
        assert after["drift"] == []


def test_without_a_server_a_preview_tells_what_changes_in_the_declaration(
    standing: Standing, made: tuple[Any, Any]
) -> None:
    """What the last update declared is compared with what is declared now; nothing else is claimed."""
    news, outs = made
    reader = {**news["declared"]["lyra_readonly"], "table public.chat_messages": ["SELECT", "DELETE"]}
    former = {**news["declared"], "lyra_readonly": reader}
    seen = checked({**news, "declared": former}, inputs(standing, port=1))
    assert seen["changes"] == ["lyra_readonly loses DELETE on public.chat_messages"]
    unseen = checked(news, inputs(standing, port=1))
    assert "changes" not in unseen
    assert not is_changed({**outs, "port": 1, "drift": [{"sentence": SNOOPS, "mend": ""}]}, unseen)


def test_a_database_that_is_gone_is_gone_from_the_state(standing: Standing, made: tuple[Any, Any]) -> None:
    """A refresh of a dropped database takes the review with it."""
    _, outs = made
    assert provider.read("id", {**outs, "database": "not_there"}).id is None
