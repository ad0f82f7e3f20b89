"""Faults in logins, in the server's settings and in tables."""

from __future__ import annotations

from tests.support.audit_cases import as_owner, fault, guarded

LOGINS = [
    fault(
        "an MD5 password",
        "ALTER ROLE lyra_app PASSWORD 'md5d41d8cd98f00b204e9800998ecf8427e'",
        *("password-not-scram", "lyra_app"),
    ),
    fault(
        "a role that keeps MD5",
        "ALTER ROLE lyra_migrator SET password_encryption = 'md5'",
        *("password-encryption", "password_encryption of role lyra_migrator"),
    ),
    fault(
        "a database that keeps MD5",
        "ALTER DATABASE lyra SET password_encryption = 'md5'",
        *("password-encryption", "password_encryption of database lyra"),
    ),
    fault(
        "statements without end",
        "ALTER ROLE lyra_app RESET statement_timeout",
        *("timeout-missing", "lyra_app statement_timeout"),
    ),
    fault(
        "locks without end",
        "ALTER ROLE lyra_readonly SET lock_timeout = 0",
        *("timeout-missing", "lyra_readonly lock_timeout"),
    ),
    fault(
        "idle without end, in this database alone",
        "ALTER ROLE lyra_app IN DATABASE lyra SET idle_in_transaction_session_timeout = 0",
        *("timeout-missing", "lyra_app idle_in_transaction_session_timeout"),
    ),
    fault(
        "transactions without end",
        "ALTER ROLE lyra_app SET transaction_timeout = 0",
        *("timeout-missing", "lyra_app transaction_timeout"),
    ),
    fault(
        "connections without end",
        "ALTER ROLE lyra_app CONNECTION LIMIT -1",
        *("connection-limit-missing", "lyra_app"),
    ),
    fault(
        "a search_path for one database",
        """ALTER ROLE lyra_app IN DATABASE lyra SET search_path = "$user" """,
        *("role-search-path", "lyra_app"),
    ),
    fault("no search_path", "ALTER ROLE lyra_app RESET search_path", "role-search-path", "lyra_app"),
    fault(
        "a search_path that all create in",
        "CREATE SCHEMA shared; GRANT USAGE, CREATE ON SCHEMA shared TO PUBLIC;"
        "ALTER ROLE lyra_readonly SET search_path = public, shared",
        *("role-search-path", "lyra_readonly"),
    ),
]
SERVER = [
    fault(
        "a role's statements in the log",
        "ALTER ROLE lyra_app SET log_statement = 'all'",
        *("log-holds-statements", "log_statement of role lyra_app"),
    ),
    fault(
        "a database's statements in the log",
        "ALTER DATABASE lyra SET log_min_duration_statement = 0",
        *("log-holds-statements", "log_min_duration_statement of database lyra"),
    ),
    fault(
        "a role's values in the log",
        "ALTER ROLE lyra_app SET log_parameter_max_length_on_error = 100",
        *("log-holds-values", "log_parameter_max_length_on_error of role lyra_app"),
    ),
    fault("an extension", "CREATE EXTENSION hstore", "extension-unexpected", "hstore"),
]
TABLES = [
    guarded(
        "a foreign key without an index",
        "DROP INDEX chat.messages_parent_message_id_idx",
        *("foreign-key-unindexed", "messages_parent_message_id_fkey on chat.messages"),
    ),
    fault(
        "a foreign key behind a partial index",
        "DROP INDEX public.idx_chat_messages_user_id, public.idx_chat_messages_history;"
        "CREATE INDEX ON public.chat_messages (user_id) WHERE is_voice",
        *("foreign-key-unindexed", "chat_messages_user_id_fkey on public.chat_messages"),
    ),
    guarded(
        "a policy's column without an index",
        "DROP INDEX chat.usage_tracking_user_id_created_at_idx, chat.usage_tracking_conversation_id_user_id_idx",
        *("policy-column-unindexed", "chat.usage_tracking.user_id"),
    ),
    fault(
        "no primary key",
        "ALTER TABLE public.chat_messages DROP CONSTRAINT chat_messages_pkey",
        *("table-without-key", "public.chat_messages"),
    ),
    guarded(
        "a new table without a key",
        as_owner("CREATE TABLE chat.notes (note text)"),
        *("table-without-key", "chat.notes"),
    ),
]
