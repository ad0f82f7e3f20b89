"""What each role may and may not do, over a login of its own: a statement and the SQLSTATE that refuses it.

Written by hand from what the products need, apart from `infra.privileges`, so that a mistake there cannot hide itself.
The rows that the statements meet are those of `PARENTS`. Each statement is undone.
"""

from __future__ import annotations

from typing import NamedTuple

MAY, DENIED = "", "42501"
NOT_NULL, NO_KEY, NO_CHECK = "23502", "23503", "23514"
USER = "00000000-0000-0000-0000-00000000000a"
OTHER = "00000000-0000-0000-0000-00000000000b"
NOBODY = "00000000-0000-0000-0000-00000000000f"


class Case(NamedTuple):
    """A statement of a kind of role, and the SQLSTATE it ends with; empty where it may."""

    role: str
    statement: str
    sqlstate: str


def cases(role: str, *pairs: tuple[str, str]) -> tuple[Case, ...]:
    """Return the cases of one kind of role."""
    return tuple(Case(role, statement, sqlstate) for statement, sqlstate in pairs)


# What nobody who serves may do in any product, each beside what they may. Braces: a table of the product, its schema.
OF_ALL = (
    ("SELECT 1", MAY),
    ("SHOW search_path", MAY),
    ("SET LOCAL statement_timeout = '1s'", MAY),
    ("SET LOCAL session_replication_role = replica", DENIED),
    ("SET LOCAL ROLE {owner}", DENIED),
    ("SET SESSION AUTHORIZATION {migrator}", DENIED),
    ("CREATE TABLE {schema}.mine (id int)", DENIED),
    ("CREATE TABLE public.mine (id int)", DENIED),
    ("CREATE TEMP TABLE mine (id int)", DENIED),
    ("CREATE VIEW {schema}.mine AS SELECT 1 AS one", DENIED),
    ("CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", DENIED),
    ("CREATE SCHEMA mine", DENIED),
    ("CREATE ROLE mine", DENIED),
    ("ALTER ROLE {app} CONNECTION LIMIT -1", DENIED),
    ("ALTER TABLE {table} ADD COLUMN mine int", DENIED),
    ("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", DENIED),
    ("CREATE INDEX ON {table} (id)", DENIED),
    ("CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()", DENIED),
    ("COMMENT ON TABLE {table} IS 'mine'", DENIED),
    ("TRUNCATE {table} CASCADE", DENIED),
    ("DROP TABLE {table} CASCADE", DENIED),
    ("SELECT count(*) FROM chatdb.ledger", DENIED),
    ("DELETE FROM chatdb.ledger", DENIED),
    ("COPY {table} TO PROGRAM 'cat'", DENIED),
    ("COPY {table} TO '/tmp/mine'", DENIED),
    ("SELECT pg_read_file('PG_VERSION')", DENIED),
    ("SELECT rolpassword FROM pg_authid", DENIED),
)
# The migrator may all that the owner may, and nothing beside the product.
OF_MIGRATOR = (
    ("CREATE TABLE {schema}.mine (id int)", MAY),
    ("SET LOCAL ROLE {owner}", MAY),
    ("ALTER TABLE {table} ADD COLUMN mine int", MAY),
    ("SELECT count(*) FROM chatdb.ledger", MAY),
    ("DROP TABLE {table} CASCADE", MAY),
    ("CREATE ROLE mine", DENIED),
    ("ALTER ROLE {app} SUPERUSER", DENIED),
    ("GRANT pg_read_all_data TO {app}", DENIED),
    ("SET LOCAL ROLE {app}", DENIED),
    ("CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION suppress_redundant_updates_trigger()", DENIED),
    ("COPY {table} TO PROGRAM 'cat'", DENIED),
    ("SELECT pg_read_file('PG_VERSION')", DENIED),
)
USERS = f"INSERT INTO public.users (id) VALUES ('{USER}'), ('{OTHER}')"
# Run by a superuser before: parents and a row or two of the product's own.
PARENTS = {
    "lyra": f"{USERS}; INSERT INTO public.chat_messages (user_id, text, sender) VALUES ('{USER}', 'hello', 'user')",
    "robotics": f"""INSERT INTO public.users (id, name, email, hashed_password)
        VALUES ('{USER}', 'Ada', 'a@b.example', 'x');
        INSERT INTO public.chats (user_id, query, response) VALUES ('{USER}', 'why', 'so')""",
    "insights": f"""INSERT INTO public.agents VALUES ('{USER}'); {USERS}; INSERT INTO public.accounts VALUES ('{USER}');
        INSERT INTO public.chats (id, agent_id, user_id, account_id) VALUES ('{USER}', '{USER}', '{USER}', '{USER}');
        INSERT INTO public.chat_messages (id, chat_id, role, content) VALUES ('{USER}', '{USER}', 'user', 'hello')""",
    "storefront": f"""{USERS};
        INSERT INTO public.chat_sessions (id, user_id, session_token) VALUES ('s', '{USER}', 't');
        INSERT INTO public.chat_messages (id, session_id, role, content) VALUES ('m', 's', 'user', 'hello');
        INSERT INTO public.chat_analytics (id, session_id, query_type) VALUES ('a', 's', 'price')""",
    "futureguide": f"INSERT INTO auth.users (id) VALUES ('{USER}'), ('{OTHER}');"
    + "".join(
        f"""INSERT INTO chat.conversations (id, user_id) VALUES ('{who}', '{who}');
        INSERT INTO chat.messages (id, conversation_id, user_id, sender_type, content)
        VALUES ('{who}', '{who}', '{who}', 'user', 'hello');
        INSERT INTO chat.usage_tracking (id, conversation_id, user_id, model_used)
        VALUES ('{who}', '{who}', '{who}', 'm');"""
        for who in (USER, OTHER)
    ),
}
READER = (
    ("INSERT INTO {table} SELECT * FROM {table}", DENIED),
    ("UPDATE {table} SET id = id", DENIED),
    ("DELETE FROM {table}", DENIED),
    ("SELECT FROM {table} FOR UPDATE", DENIED),
)
SAID = "INSERT INTO public.chat_messages (user_id, text, sender) VALUES"
ASKED = "INSERT INTO public.chats (user_id, query, response) VALUES"
TALKED = "INSERT INTO public.chat_messages (id, chat_id, role, content) VALUES"
SHOWN = "INSERT INTO public.chat_messages (id, session_id, role, content) VALUES"
WROTE = "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content) VALUES"

ROLES: dict[str, tuple[Case, ...]] = {
    "lyra": (
        *cases(
            "app",
            ("SELECT text FROM public.chat_messages", MAY),
            (f"{SAID} ('{USER}', 'hi', 'lyra') RETURNING id", MAY),
            (f"{SAID} ('{USER}', 'hi', 'bot')", NO_CHECK),
            (f"{SAID} ('{NOBODY}', 'hi', 'user')", NO_KEY),
            (f"{SAID} ('{USER}', NULL, 'user')", NOT_NULL),
            ("UPDATE public.chat_messages SET text = 'other'", DENIED),
            ("DELETE FROM public.chat_messages", DENIED),
            ("SELECT id FROM public.users", DENIED),
        ),
        *cases(
            "readonly", ("SELECT text FROM public.chat_messages", MAY), ("SELECT id FROM public.users", MAY), *READER
        ),
    ),
    "robotics": (
        *cases(
            "app",
            ("SELECT query, response FROM public.chats", MAY),
            (f"{ASKED} ('{USER}', 'q', 'a') RETURNING id", MAY),
            (f"{ASKED} ('{NOBODY}', 'q', 'a')", NO_KEY),
            ("UPDATE public.chats SET response = 'other'", DENIED),
            ("DELETE FROM public.chats", DENIED),
            ("SELECT hashed_password FROM public.users", DENIED),
        ),
        *cases("readonly", ("SELECT query FROM public.chats", MAY), *READER),
    ),
    "insights": (
        *cases(
            "app",
            ("SELECT title FROM public.chats", MAY),
            ("UPDATE public.chats SET title = 'Sales', updated_at = now()", MAY),
            ("DELETE FROM public.chats", MAY),
            (f"{TALKED} ('{OTHER}', '{USER}', 'user', 'hi') RETURNING id", MAY),
            (f"{TALKED} ('{OTHER}', '{NOBODY}', 'user', 'hi')", NO_KEY),
            ("UPDATE public.chat_messages SET content = 'other'", DENIED),
            ("DELETE FROM public.chat_messages", DENIED),
            ("SELECT id FROM public.accounts", DENIED),
        ),
        *cases(
            "readonly", ("SELECT content FROM public.chat_messages", MAY), ("SELECT id FROM public.chats", MAY), *READER
        ),
    ),
    "storefront": (
        *cases(
            "app",
            ("UPDATE public.chat_sessions SET message_count = message_count + 1, last_message_at = now()", MAY),
            ("DELETE FROM public.chat_sessions", MAY),
            ("INSERT INTO public.chat_sessions (id, session_token) VALUES ('n', 'u')", MAY),
            ("INSERT INTO public.chat_sessions (id, session_token) VALUES ('n', 't')", "23505"),
            (f"{SHOWN} ('n', 's', 'user', 'hi')", MAY),
            ("UPDATE public.chat_messages SET content = 'other'", DENIED),
            ("DELETE FROM public.chat_messages", DENIED),
            ("INSERT INTO public.chat_analytics (id, session_id) VALUES ('n', 's')", MAY),
            ("UPDATE public.chat_analytics SET conversion_occurred = 1", MAY),
            ("DELETE FROM public.chat_analytics", DENIED),
            ("SELECT id FROM public.users", DENIED),
        ),
        *cases("readonly", ("SELECT content FROM public.chat_messages", MAY), *READER),
        *cases(
            "analytics",
            (
                "SELECT query_type, sum(total_cost_usd), count(*) FROM public.chat_analytics GROUP BY 1",
                MAY,
            ),
            ("INSERT INTO public.chat_analytics (id, session_id) VALUES ('n', 's')", DENIED),
            ("UPDATE public.chat_analytics SET conversion_occurred = 1", DENIED),
            ("DELETE FROM public.chat_analytics", DENIED),
            ("SELECT content FROM public.chat_messages", DENIED),
            ("SELECT id FROM public.chat_messages", DENIED),
            ("SELECT session_token FROM public.chat_sessions", DENIED),
            ("SELECT count(*) FROM public.chat_sessions", DENIED),
            ("SELECT id FROM public.users", DENIED),
        ),
    ),
    "futureguide": (
        *cases(
            "app",
            ("SELECT 1 / (count(*) - 2) FROM chat.messages", MAY),
            ("SELECT 1 / (count(*) - 1) FROM chat.messages", "22012"),  # one row: the user's own
            ("UPDATE chat.conversations SET title = 'Plans'", MAY),
            ("DELETE FROM chat.conversations", MAY),
            (f"{WROTE} ('{USER}', '{USER}', 'user', 'hi') RETURNING id", MAY),
            (f"{WROTE} ('{OTHER}', '{OTHER}', 'user', 'hi')", DENIED),
            (f"UPDATE chat.messages SET user_id = '{OTHER}'", DENIED),
            ("SELECT chat.set_updated_at()", DENIED),
            ("SELECT id FROM auth.users", DENIED),
        ),
        # No policy is for it: it may read the tables and sees no row.
        *cases(
            "readonly",
            ("SELECT 1 / (count(*) - 1) FROM chat.messages", MAY),
            ("SELECT 1 / count(*) FROM chat.messages", "22012"),
            *READER,
        ),
        # The figures of all users, whoever this one says to be.
        *cases(
            "analytics",
            ("SELECT model_used, sum(total_tokens), sum(cost_credits) FROM chat.usage_tracking GROUP BY 1", MAY),
            ("SELECT 1 / (count(*) - 1) FROM chat.usage_tracking", MAY),
            ("SELECT 1 / (count(*) - 2) FROM chat.usage_tracking", "22012"),
            ("INSERT INTO chat.usage_tracking (user_id, model_used) VALUES (gen_random_uuid(), 'm')", DENIED),
            ("UPDATE chat.usage_tracking SET cost_credits = 0", DENIED),
            ("DELETE FROM chat.usage_tracking", DENIED),
            ("SELECT content FROM chat.messages", DENIED),
            ("SELECT title FROM chat.conversations", DENIED),
        ),
    ),
}
