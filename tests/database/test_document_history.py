"""A page of history comes out of one index, filtered, in order and from where the last page ended, without a sort."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra.connection import Target, connect
from tests.support.documents import migrate

KEY = "'00000000-0000-0000-0000-000000000000'"


@pytest.mark.parametrize(
    ("name", "query", "index"),
    [
        pytest.param(
            "lyra",
            f"SELECT * FROM chat_messages WHERE user_id = {KEY} AND (created_at, id) < ('2026-01-01', {KEY})"
            " ORDER BY created_at DESC, id DESC LIMIT 50",
            "idx_chat_messages_history",
            id="lyra: messages of a user",
        ),
        pytest.param(
            "robotics",
            f"SELECT * FROM chats WHERE user_id = {KEY} AND (created_at, id) < ('2026-01-01', {KEY})"
            " ORDER BY created_at DESC, id DESC LIMIT 50",
            "idx_chats_history",
            id="robotics: chats of a user",
        ),
        pytest.param(
            "storefront",
            "SELECT * FROM chat_messages WHERE session_id = 's' AND (\"timestamp\", id) > ('2026-01-01', 'm')"
            ' ORDER BY "timestamp", id LIMIT 50',
            "chat_messages_session_id_timestamp_id_idx",
            id="storefront: messages of a session",
        ),
        pytest.param(
            "storefront",
            "SELECT * FROM chat_sessions WHERE user_id = 'u' ORDER BY started_at DESC, id DESC LIMIT 20",
            "chat_sessions_user_id_started_at_id_idx",
            id="storefront: sessions of a user",
        ),
        pytest.param(
            "insights",
            f"SELECT * FROM chat_messages WHERE chat_id = {KEY} AND (created_at, id) > ('2026-01-01', {KEY})"
            " ORDER BY created_at, id LIMIT 50",
            "ix_chat_messages_history",
            id="insights: messages of a chat",
        ),
        pytest.param(
            "insights",
            f"SELECT * FROM chats WHERE user_id = {KEY} ORDER BY created_at DESC, id DESC LIMIT 20",
            "ix_chats_history",
            id="insights: chats of a user",
        ),
    ],
)
def test_a_page_of_history_comes_from_one_index(
    product_database: Callable[..., Target], name: str, query: str, index: str
) -> None:
    target = product_database(name)
    migrate(target, name)
    with connect(target) as connection:
        # The tables are empty, where reading them whole is cheapest: what counts is that the index can do it.
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}".encode()).fetchall())
    assert f"using {index} on" in plan
    assert "Sort" not in plan
