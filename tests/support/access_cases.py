"""Faults in who may do what: what is done, and the sentences that are said of it."""

from __future__ import annotations

from typing import Any

import pytest

AS = "which is not declared"


def lyra(id_: str, statements: str, *sentences: str) -> Any:
    """Return a case: what is done in lyra, and the sentences that are said of it."""
    return pytest.param("lyra", statements, sentences, id=id_)


def futureguide(id_: str, statements: str, *sentences: str) -> Any:
    """Return a case in the product with a schema of its own."""
    return pytest.param("futureguide", statements, sentences, id=id_)


GRANTS = [
    lyra(
        "a service changes messages",
        "GRANT UPDATE ON public.chat_messages TO lyra_app",
        f"lyra_app has UPDATE on public.chat_messages, {AS}: granted by lyra_owner",
    ),
    lyra(
        "what everyone may and the owner only as everyone, as before 15: it keeps it",
        "ALTER SCHEMA public OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM lyra_owner;"
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        f"PUBLIC has CREATE on schema public, {AS}: granted by postgres",
    ),
    lyra(
        "several rights at once",
        "GRANT UPDATE, DELETE ON public.chat_messages TO lyra_readonly WITH GRANT OPTION",
        f"lyra_readonly has UPDATE with grant option, DELETE with grant option on public.chat_messages, {AS}:"
        " granted by lyra_owner",
    ),
    lyra(
        "a right that was passed on",
        "GRANT SELECT ON public.chat_messages TO lyra_readonly WITH GRANT OPTION; CREATE ROLE guest;"
        "SET ROLE lyra_readonly; GRANT SELECT ON public.chat_messages TO guest; RESET ROLE",
        f"guest has SELECT on public.chat_messages, {AS}: granted by lyra_readonly",
        f"lyra_readonly has SELECT with grant option on public.chat_messages, {AS}: granted by lyra_owner",
    ),
    lyra(
        "a column",
        "GRANT UPDATE (text) ON public.chat_messages TO lyra_app",
        f"lyra_app has UPDATE on public.chat_messages.text, {AS}: granted by lyra_owner",
    ),
    lyra(
        "a column of a name that is quoted",
        'ALTER TABLE public.chat_messages ADD COLUMN "No ""way""" text;'
        'GRANT SELECT ("No ""way""") ON public.chat_messages TO PUBLIC',
        f'PUBLIC has SELECT on public.chat_messages.No "way", {AS}: granted by lyra_owner',
    ),
    lyra(
        "a role that is not ours",
        'CREATE ROLE "Re-port"; GRANT SELECT ON public.chat_messages TO "Re-port"',
        f"Re-port has SELECT on public.chat_messages, {AS}: granted by lyra_owner",
    ),
    lyra(
        "another product's service",
        "GRANT CONNECT ON DATABASE lyra TO fg_user",
        f"fg_user has CONNECT on lyra, {AS}: granted by lyra_owner",
    ),
    lyra(
        "PUBLIC on the database",
        "GRANT CONNECT, TEMP ON DATABASE lyra TO PUBLIC",
        f"PUBLIC has CONNECT, TEMP on lyra, {AS}: granted by lyra_owner",
    ),
    lyra(
        "PUBLIC creates in public",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        f"PUBLIC has CREATE on schema public, {AS}: granted by pg_database_owner",
    ),
    lyra(
        "the ledger",
        "GRANT SELECT ON chatdb.ledger TO lyra_readonly",
        f"lyra_readonly has SELECT on chatdb.ledger, {AS}: granted by lyra_owner",
    ),
    futureguide(
        "a function",
        "GRANT EXECUTE ON FUNCTION chat.set_updated_at() TO PUBLIC",
        f"PUBLIC has EXECUTE on chat.set_updated_at(), {AS}: granted by futureguide_owner",
    ),
    futureguide(
        "a function that was made without the default privileges",
        "CREATE FUNCTION chat.f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION chat.f() OWNER TO futureguide_owner",
        f"PUBLIC has EXECUTE on chat.f(), {AS}: by default",
    ),
    futureguide(
        "a sequence",
        "SET ROLE futureguide_owner; CREATE SEQUENCE chat.s; GRANT USAGE ON SEQUENCE chat.s TO fg_user; RESET ROLE",
        f"fg_user has USAGE on chat.s, {AS}: granted by futureguide_owner",
    ),
    lyra(
        "a type",
        "CREATE TYPE public.mood AS ENUM ('good'); GRANT USAGE ON TYPE public.mood TO lyra_app",
        f"lyra_app has USAGE on public.mood, {AS}: granted by postgres",
    ),
    lyra(
        "a superuser's parameter",
        "GRANT SET ON PARAMETER session_replication_role TO lyra_app",
        f"lyra_app has SET on session_replication_role, {AS}: granted by postgres",
    ),
    lyra(
        "PostgreSQL's own function",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO lyra_app",
        f"lyra_app has EXECUTE on pg_catalog.pg_read_file(text), {AS}: granted by postgres",
    ),
    lyra(
        "PostgreSQL's own table",
        "GRANT SELECT ON pg_catalog.pg_authid TO lyra_readonly",
        f"lyra_readonly has SELECT on pg_catalog.pg_authid, {AS}: granted by postgres",
    ),
    lyra(
        "later tables",
        "ALTER DEFAULT PRIVILEGES FOR ROLE lyra_owner IN SCHEMA public GRANT INSERT ON TABLES TO lyra_app",
        f"lyra_app will have INSERT on new tables of lyra_owner in public, {AS}: granted by lyra_owner",
    ),
    lyra(
        "later tables of somebody else",
        "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO lyra_app",
        f"lyra_app will have SELECT on new tables of postgres in any schema, {AS}: granted by postgres",
    ),
    lyra(
        "later functions of ours",
        "ALTER DEFAULT PRIVILEGES FOR ROLE lyra_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        f"PUBLIC will have EXECUTE on new functions of lyra_owner in any schema, {AS}: by default",
    ),
]
MEMBERSHIPS = [
    lyra(
        "a service is a member of the owner of another",
        "GRANT futureguide_readonly TO lyra_app",
        f"lyra_app is a member of futureguide_readonly (SET, INHERIT), {AS}: granted by postgres",
    ),
    lyra(
        "a reader is a member of the service",
        "GRANT lyra_app TO lyra_readonly",
        f"lyra_readonly is a member of lyra_app (SET, INHERIT), {AS}: granted by postgres",
        f"lyra_readonly has INSERT on public.chat_messages through lyra_app, {AS}",
    ),
    lyra(
        "by SET ROLE alone",
        "GRANT lyra_app TO lyra_readonly WITH INHERIT FALSE",
        f"lyra_readonly is a member of lyra_app (SET), {AS}: granted by postgres",
        f"lyra_readonly has INSERT on public.chat_messages after SET ROLE lyra_app, {AS}",
    ),
    lyra(
        "a person acts as the service",
        "CREATE ROLE intern; GRANT lyra_app TO intern",
        f"intern is a member of lyra_app (SET, INHERIT), {AS}: granted by postgres",
    ),
    lyra(
        "all data",
        "GRANT pg_write_all_data TO lyra_readonly",
        f"lyra_readonly is a member of pg_write_all_data (SET, INHERIT), {AS}: granted by postgres",
        f"lyra_readonly has USAGE on schema chatdb through pg_write_all_data, {AS}",
        f"lyra_readonly has INSERT, UPDATE, DELETE on chatdb.head through pg_write_all_data, {AS}",
        f"lyra_readonly has INSERT, UPDATE, DELETE on chatdb.ledger through pg_write_all_data, {AS}",
        f"lyra_readonly has INSERT, UPDATE, DELETE on public.chat_messages through pg_write_all_data, {AS}",
        f"lyra_readonly has INSERT, UPDATE, DELETE on public.users through pg_write_all_data, {AS}",
    ),
    lyra("a superuser", "ALTER ROLE lyra_app SUPERUSER", f"lyra_app is SUPERUSER, {AS}"),
    lyra(
        "attributes",
        "ALTER ROLE lyra_readonly BYPASSRLS REPLICATION",
        f"lyra_readonly is BYPASSRLS, REPLICATION, {AS}",
    ),
    lyra("the owner logs in", "ALTER ROLE lyra_owner LOGIN", f"lyra_owner is LOGIN, {AS}"),
]
MISSING = [
    lyra(
        "a right of the service",
        "REVOKE INSERT ON public.chat_messages FROM lyra_app",
        "lyra_app lacks INSERT on public.chat_messages, which is declared",
    ),
    lyra(
        "the owner's own",
        "REVOKE TRUNCATE ON public.chat_messages FROM lyra_owner",
        "lyra_owner lacks TRUNCATE on public.chat_messages, which is declared",
    ),
    lyra(
        "the database",
        "REVOKE CONNECT ON DATABASE lyra FROM lyra_readonly",
        "lyra_readonly lacks CONNECT on lyra, which is declared",
    ),
    lyra(
        "what PUBLIC keeps",
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
        "PUBLIC lacks USAGE on schema public, which is declared",
    ),
    lyra(
        "later tables",
        "ALTER DEFAULT PRIVILEGES FOR ROLE lyra_owner IN SCHEMA public REVOKE SELECT ON TABLES FROM lyra_readonly",
        "lyra_readonly lacks SELECT on new tables of lyra_owner in public, which is declared",
    ),
    lyra("a login", "ALTER ROLE lyra_app NOLOGIN", "lyra_app is not LOGIN, which is declared"),
    lyra(
        "the migrator's membership",
        "REVOKE lyra_owner FROM lyra_migrator",
        "lyra_migrator is not a member of lyra_owner (SET, INHERIT), which is declared",
    ),
    lyra(
        "that the migrator inherits",
        "GRANT lyra_owner TO lyra_migrator WITH INHERIT FALSE",
        "lyra_migrator is not a member of lyra_owner (INHERIT), which is declared",
    ),
]
OWNERS = [
    lyra(
        "a service owns the messages",
        "ALTER TABLE public.chat_messages OWNER TO lyra_app",
        f"lyra_app owns public.chat_messages, {AS}: lyra_owner should own it",
    ),
    lyra(
        "the administrator owns the ledger",
        "ALTER TABLE chatdb.ledger OWNER TO postgres",
        f"postgres owns chatdb.ledger, {AS}: lyra_owner should own it",
    ),
    futureguide(
        "the administrator made a view",
        "CREATE VIEW chat.v AS SELECT 1 AS one",
        f"postgres owns chat.v, {AS}: futureguide_owner should own it",
    ),
    lyra(
        "a service owns a table of the application",
        "ALTER TABLE public.users OWNER TO lyra_app",
        f"lyra_app owns public.users, {AS}: lyra_owner should own it",
        f"lyra_readonly has SELECT on public.users, {AS}: granted by lyra_app",
    ),
]
