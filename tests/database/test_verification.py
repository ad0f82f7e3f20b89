"""Verification finds each kind of difference, names it, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra import products, verification
from infra.connection import Target, connect
from infra.migrations import snapshot
from tests.support.documents import NAMES, migrate

# Product, what somebody did by hand, and every sentence that says so.
DRIFT = [
    pytest.param(
        "robotics",
        "DROP INDEX idx_chats_user_id",
        ["index idx_chats_user_id on public.chats is missing"],
        id="index dropped",
    ),
    pytest.param(
        "robotics",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_chats_user_id'::regclass",
        ["index idx_chats_user_id on public.chats: state is invalid, expected valid"],
        id="index invalid",
    ),
    pytest.param(
        "robotics",
        "DROP INDEX idx_chats_user_id; CREATE INDEX idx_chats_user_id ON chats (id)",
        [
            "index idx_chats_user_id on public.chats: definition is "
            "CREATE INDEX idx_chats_user_id ON public.chats USING btree (id), expected "
            "CREATE INDEX idx_chats_user_id ON public.chats USING btree (user_id)"
        ],
        id="index on another column",
    ),
    pytest.param(
        "robotics",
        "CREATE INDEX extra ON chats (response)",
        ["index extra on public.chats is not expected"],
        id="index added",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats ALTER created_at SET DEFAULT clock_timestamp()",
        ["column public.chats.created_at: default is clock_timestamp(), expected now()"],
        id="default changed",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats ALTER id DROP DEFAULT",
        ["column public.chats.id: default is none, expected gen_random_uuid()"],
        id="default dropped",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats ALTER query DROP NOT NULL",
        ["column public.chats.query: nullability is NULL, expected NOT NULL"],
        id="not null dropped",
    ),
    pytest.param(
        "lyra",
        "ALTER TABLE chat_messages ALTER text TYPE varchar(4000)",
        ["column public.chat_messages.text: type is character varying(4000), expected text"],
        id="type changed",
    ),
    pytest.param(
        "insights",
        "ALTER TABLE chats ALTER title TYPE varchar(500)",
        ["column public.chats.title: type is character varying(500), expected character varying(255)"],
        id="type widened",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats ADD rating integer",
        ["column public.chats.rating is not expected"],
        id="column added",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP metadata",
        ["column public.chats.metadata is missing"],
        id="column dropped",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP metadata; ALTER TABLE chats ADD metadata jsonb;"
        " COMMENT ON COLUMN chats.metadata IS 'Context of the answer: may hold personal data'",
        [
            "table public.chats: column order is id, user_id, query, response, created_at, metadata, "
            "expected id, user_id, query, response, metadata, created_at"
        ],
        id="column moved",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP CONSTRAINT chats_user_id_fkey, ADD CONSTRAINT chats_user_id_fkey"
        " FOREIGN KEY (user_id) REFERENCES users (id)",
        ["foreign key chats_user_id_fkey on public.chats: delete action is NO ACTION, expected CASCADE"],
        id="delete action changed",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP CONSTRAINT chats_user_id_fkey, ADD CONSTRAINT chats_user_id_fkey"
        " FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE NOT VALID",
        ["foreign key chats_user_id_fkey on public.chats: validated is no, expected yes"],
        id="foreign key not validated",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats ALTER CONSTRAINT chats_user_id_fkey DEFERRABLE INITIALLY DEFERRED",
        ["foreign key chats_user_id_fkey on public.chats: deferrable is initially deferred, expected no"],
        id="foreign key deferred",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP CONSTRAINT chats_user_id_fkey",
        ["foreign key chats_user_id_fkey on public.chats is missing"],
        id="foreign key dropped",
    ),
    pytest.param(
        "storefront",
        "ALTER TABLE chat_sessions DROP CONSTRAINT chat_sessions_session_token_unique",
        [
            "unique chat_sessions_session_token_unique on public.chat_sessions is missing",
            "index chat_sessions_session_token_unique on public.chat_sessions is missing",
        ],
        id="unique key dropped",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats DROP CONSTRAINT chats_pkey",
        ["primary key chats_pkey on public.chats is missing", "index chats_pkey on public.chats is missing"],
        id="primary key dropped",
    ),
    pytest.param(
        "lyra",
        "ALTER TABLE chat_messages DROP CONSTRAINT chat_messages_sender_check",
        ["check chat_messages_sender_check on public.chat_messages is missing"],
        id="check dropped",
    ),
    pytest.param(
        "futureguide",
        "ALTER TABLE chat.usage_tracking DROP CONSTRAINT usage_tracking_total_tokens_check,"
        " ADD CONSTRAINT usage_tracking_total_tokens_check CHECK (total_tokens >= -1)",
        [
            "check usage_tracking_total_tokens_check on chat.usage_tracking: definition is "
            "CHECK ((total_tokens >= '-1'::integer)), expected CHECK ((total_tokens >= 0))"
        ],
        id="check weakened",
    ),
    pytest.param(
        "futureguide",
        "DROP POLICY messages_own_rows ON chat.messages",
        ["policy messages_own_rows on chat.messages is missing"],
        id="policy dropped",
    ),
    pytest.param(
        "futureguide",
        "ALTER POLICY messages_own_rows ON chat.messages TO public",
        ["policy messages_own_rows on chat.messages: roles is public, expected fg_user"],
        id="policy for everybody",
    ),
    pytest.param(
        "futureguide",
        "ALTER POLICY messages_own_rows ON chat.messages USING (true)",
        [
            "policy messages_own_rows on chat.messages: using is true, expected (user_id = ( SELECT "
            "(NULLIF(current_setting('app.current_user_id'::text, true), ''::text))::uuid AS \"nullif\"))"
        ],
        id="policy opened",
    ),
    pytest.param(
        "futureguide",
        "CREATE POLICY all_rows ON chat.messages USING (true)",
        ["policy all_rows on chat.messages is not expected"],
        id="policy added",
    ),
    pytest.param(
        "futureguide",
        "ALTER TABLE chat.messages DISABLE ROW LEVEL SECURITY",
        ["table chat.messages: row security is no, expected yes"],
        id="row security off",
    ),
    pytest.param(
        "futureguide",
        "ALTER TABLE chat.messages NO FORCE ROW LEVEL SECURITY",
        ["table chat.messages: row security forced is no, expected yes"],
        id="row security not forced",
    ),
    pytest.param(
        "futureguide",
        "ALTER TABLE chat.conversations DISABLE TRIGGER conversations_set_updated_at",
        ["trigger conversations_set_updated_at on chat.conversations: enabled is no, expected yes"],
        id="trigger off",
    ),
    pytest.param(
        "futureguide",
        "DROP TRIGGER conversations_set_updated_at ON chat.conversations",
        ["trigger conversations_set_updated_at on chat.conversations is missing"],
        id="trigger dropped",
    ),
    pytest.param(
        "futureguide",
        "ALTER FUNCTION chat.set_updated_at() RESET search_path",
        ['function chat.set_updated_at(): settings is none, expected search_path=""'],
        id="function without its search_path",
    ),
    pytest.param(
        "futureguide",
        "ALTER FUNCTION chat.set_updated_at() SECURITY DEFINER",
        ["function chat.set_updated_at(): security is definer, expected invoker"],
        id="function as its owner",
    ),
    pytest.param(
        "futureguide",
        "CREATE OR REPLACE FUNCTION chat.set_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = ''"
        " AS 'BEGIN RETURN NEW; END'",
        [
            "function chat.set_updated_at(): body is BEGIN RETURN NEW; END, "
            "expected BEGIN NEW.updated_at := pg_catalog.now(); RETURN NEW; END;"
        ],
        id="function body",
    ),
    pytest.param(
        "futureguide",
        "CREATE TABLE chat.notes (id integer)",
        ["table chat.notes is not expected"],
        id="table added to the product's own schema",
    ),
    pytest.param(
        "futureguide",
        "COMMENT ON SCHEMA chat IS NULL",
        ["schema chat: comment is none, expected Chat service of FutureGuide: conversations, messages, usage"],
        id="schema comment removed",
    ),
    pytest.param(
        "lyra",
        "COMMENT ON TABLE chat_messages IS NULL",
        ["table public.chat_messages: comment is none, expected Chat messages between users and Lyra"],
        id="table comment removed",
    ),
    pytest.param(
        "lyra",
        "COMMENT ON COLUMN chat_messages.sender IS 'somebody'",
        ["column public.chat_messages.sender: comment is somebody, expected Who sent it: user or lyra"],
        id="column comment changed",
    ),
    pytest.param(
        "storefront",
        "ALTER TABLE chat_sessions RESET (fillfactor)",
        ["table public.chat_sessions: storage is none, expected fillfactor=85"],
        id="storage parameter reset",
    ),
    pytest.param(
        "storefront",
        "DROP TABLE chat_analytics",
        ["table public.chat_analytics is missing"],
        id="table dropped: what stood in it is not listed",
    ),
    pytest.param(
        "robotics",
        "ALTER TABLE chats SET UNLOGGED",
        ["table public.chats: persistence is unlogged, expected permanent"],
        id="table unlogged",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_migrated_database_is_what_its_version_says(product_database: Callable[..., Target], name: str) -> None:
    """At every version, in a session that may not write, as a role that owns nothing."""
    target, product = product_database(name), products.load(name)
    for version in snapshot.versions(product):
        migrate(target, name, to=version)
        with connect(target.to(role=product.app_role)) as connection:
            connection.execute("SET default_transaction_read_only = on")
            report = verification.verify(connection, product, version)
        assert [str(difference) for difference in report.differences] == []
        assert report.ok is True
        assert [check for check in report.checks if not check.ok] == []


@pytest.mark.parametrize(("name", "deed", "sentences"), DRIFT)
def test_drift_is_found_and_named(
    product_database: Callable[..., Target], name: str, deed: str, sentences: list[str]
) -> None:
    target, product = product_database(name), products.load(name)
    newest = migrate(target, name).version
    # As superuser: pg_index is nobody's to write.
    with connect(target.to(role="")) as connection:
        connection.execute(deed.encode())
        report = verification.verify(connection, product, newest)
    assert [difference.sentence for difference in report.differences] == sentences
    assert report.ok is False
    failed = [check for check in report.checks if not check.ok]
    assert len(failed) >= len(sentences)
    with pytest.raises(verification.VerificationFailedError) as caught:
        report.require()
    assert caught.value.message == f"{name} is not what version {newest:04d} says"
    assert caught.value.detail.splitlines()[1:] == [f"  {sentence}" for sentence in sentences]


def test_an_empty_database_is_version_zero_and_no_other(product_database: Callable[..., Target]) -> None:
    target, product = product_database("futureguide"), products.load("futureguide")
    with connect(target) as connection:
        assert verification.verify(connection, product, 0).ok is True
        connection.execute("CREATE SCHEMA chat")
        assert verification.verify(connection, product, 0).ok is True
        sentences = [str(difference) for difference in verification.verify(connection, product, 1).differences]
        assert "table chat.conversations is missing" in sentences
        connection.execute("CREATE TABLE chat.conversations (id uuid)")
        sentences = [str(difference) for difference in verification.verify(connection, product, 0).differences]
        assert sentences == ["table chat.conversations is not expected"]


def test_another_products_table_of_the_same_name_is_no_success(product_database: Callable[..., Target]) -> None:
    """`CREATE TABLE IF NOT EXISTS chats` over the chats of Insights would say nothing."""
    target = product_database("insights")
    migrate(target, "insights")
    with connect(target) as connection:
        report = verification.verify(connection, products.load("robotics"), 1)
    assert report.ok is False
    assert "column public.chats.query is missing" in [difference.sentence for difference in report.differences]


def test_a_check_is_a_row_with_what_was_expected_and_what_stands(product_database: Callable[..., Target]) -> None:
    target = product_database("robotics")
    migrate(target, "robotics", to=1)
    with connect(target) as connection:
        checks = verification.verify(connection, products.load("robotics"), 1).checks
    wanted = verification.Check(
        kind="foreign key delete action",
        object="chats_user_id_fkey on public.chats",
        expected="CASCADE",
        actual="CASCADE",
        ok=True,
    )
    assert wanted in checks
    assert wanted.as_dict() == {
        "kind": "foreign key delete action",
        "object": "chats_user_id_fkey on public.chats",
        "expected": "CASCADE",
        "actual": "CASCADE",
        "ok": True,
    }
