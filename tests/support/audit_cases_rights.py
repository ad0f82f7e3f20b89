"""Faults in what PUBLIC and the roles that serve may do."""

from __future__ import annotations

from tests.support.audit_cases import as_owner, fault, guarded

PUBLIC = [
    fault("all may connect", "GRANT CONNECT ON DATABASE lyra TO PUBLIC", "public-enters-database", "lyra"),
    fault("all make temporary tables", "GRANT TEMP ON DATABASE lyra TO PUBLIC", "public-enters-database", "lyra"),
    fault("all create in public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "public-creates-in-schema", "public"),
    guarded("all enter the schema", "GRANT USAGE ON SCHEMA chat TO PUBLIC", "public-uses-schema", "chat"),
    fault("all enter the ledger", "GRANT USAGE ON SCHEMA chatdb TO PUBLIC", "public-uses-schema", "chatdb"),
    guarded(
        "all execute a function",
        "GRANT EXECUTE ON FUNCTION chat.set_updated_at() TO PUBLIC",
        *("public-executes-function", "chat.set_updated_at()"),
    ),
    guarded(
        "a function made by somebody else",
        "CREATE FUNCTION chat.f() RETURNS int LANGUAGE sql SET search_path = '' RETURN 1",
        *("public-executes-function", "chat.f()"),
    ),
    fault(
        "all read the messages",
        "GRANT SELECT ON public.chat_messages TO PUBLIC",
        *("public-uses-relation", "public.chat_messages"),
    ),
    fault(
        "all read one column",
        "GRANT SELECT (text) ON public.chat_messages TO PUBLIC",
        *("public-uses-relation", "public.chat_messages.text"),
    ),
    guarded(
        "all use a sequence",
        as_owner("CREATE SEQUENCE chat.s; GRANT USAGE ON SEQUENCE chat.s TO PUBLIC"),
        *("public-uses-relation", "chat.s"),
    ),
    fault(
        "all execute later functions",
        "ALTER DEFAULT PRIVILEGES FOR ROLE lyra_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        *("public-by-default", "new functions of lyra_owner"),
    ),
    fault(
        "all read later tables",
        "ALTER DEFAULT PRIVILEGES FOR ROLE lyra_owner IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC",
        *("public-by-default", "new tables of lyra_owner in public"),
    ),
]
PRIVILEGES = [
    fault(
        "a service truncates",
        "GRANT TRUNCATE ON public.chat_messages TO lyra_app",
        *("privilege-around-policies", "public.chat_messages"),
    ),
    fault(
        "a reader makes triggers",
        "GRANT TRIGGER ON public.chat_messages TO lyra_readonly",
        *("privilege-around-policies", "public.chat_messages"),
    ),
    fault(
        "a stranger points at a column",
        "CREATE ROLE stranger; GRANT REFERENCES (id) ON public.chat_messages TO stranger",
        *("privilege-around-policies", "public.chat_messages.id"),
    ),
    fault(
        "a right passed on",
        "GRANT SELECT ON public.chat_messages TO lyra_readonly WITH GRANT OPTION",
        *("privilege-passed-on", "public.chat_messages"),
    ),
    fault(
        "a service creates in a schema",
        "GRANT CREATE ON SCHEMA public TO lyra_app",
        *("service-creates-objects", "public"),
    ),
    fault(
        "a reader makes temporary tables",
        "GRANT TEMP ON DATABASE lyra TO lyra_readonly",
        *("service-creates-objects", "lyra"),
    ),
    fault(
        "a service writes the ledger",
        "GRANT UPDATE ON chatdb.ledger TO lyra_app",
        *("ledger-is-open", "chatdb.ledger"),
    ),
    fault(
        "a reader enters the ledger",
        "GRANT USAGE ON SCHEMA chatdb TO lyra_readonly",
        *("ledger-is-open", "chatdb"),
    ),
    fault(
        "a service turns triggers off",
        "GRANT SET ON PARAMETER session_replication_role TO lyra_app",
        *("parameter-granted", "session_replication_role"),
    ),
]
