"""Faults in who owns what and in what roles are."""

from __future__ import annotations

from tests.support.audit_cases import fault, guarded

OWNERSHIP = [
    fault(
        "a service owns a table",
        "ALTER TABLE public.chat_messages OWNER TO lyra_app",
        *("object-of-another-owner", "public.chat_messages"),
    ),
    guarded(
        "a superuser made a function",
        "CREATE FUNCTION chat.f() RETURNS int LANGUAGE sql SET search_path = '' RETURN 1",
        *("object-of-another-owner", "chat.f()"),
    ),
    guarded(
        "a superuser made a procedure",
        "CREATE PROCEDURE chat.p(n integer) LANGUAGE sql SET search_path = '' AS 'SELECT 1'",
        *("object-of-another-owner", "chat.p(integer)"),
    ),
    guarded(
        "a superuser made a view",
        "CREATE VIEW chat.v AS SELECT 1 AS one",
        *("object-of-another-owner", "chat.v"),
    ),
    guarded(
        "a superuser made a sequence",
        "CREATE SEQUENCE chat.s",
        *("object-of-another-owner", "chat.s"),
    ),
    fault(
        "the database belongs to the administrator",
        "ALTER DATABASE lyra OWNER TO postgres",
        *("object-of-another-owner", "lyra"),
    ),
    fault(
        "the migrator owns the ledger's schema",
        "ALTER SCHEMA chatdb OWNER TO lyra_migrator",
        *("object-of-another-owner", "chatdb"),
    ),
    fault(
        "a service owns the ledger",
        "ALTER TABLE chatdb.ledger OWNER TO lyra_app",
        *("object-of-another-owner", "chatdb.ledger"),
    ),
    fault(
        "a reader owns a table beside ours",
        "CREATE TABLE public.notes (id int PRIMARY KEY); ALTER TABLE public.notes OWNER TO lyra_readonly",
        *("login-owns-objects", "lyra_readonly owns table public.notes"),
    ),
    fault(
        "a service owns the database",
        "ALTER DATABASE lyra OWNER TO lyra_app",
        *("login-owns-objects", "lyra_app owns database lyra"),
    ),
    fault("the owner logs in", "ALTER ROLE lyra_owner LOGIN", "owner-logs-in", "lyra_owner"),
    fault("the database is a template", "ALTER DATABASE lyra IS_TEMPLATE true", "database-is-template", "lyra"),
]
ATTRIBUTES = [
    fault("a superuser", "ALTER ROLE lyra_app SUPERUSER", "role-is-superuser", "lyra_app"),
    fault("past row security", "ALTER ROLE lyra_readonly BYPASSRLS", "role-bypasses-row-security", "lyra_readonly"),
    fault("makes roles", "ALTER ROLE lyra_migrator CREATEROLE", "role-creates-roles", "lyra_migrator"),
    fault("makes databases", "ALTER ROLE lyra_owner CREATEDB", "role-creates-databases", "lyra_owner"),
    fault("replicates", "ALTER ROLE lyra_readonly REPLICATION", "role-replicates", "lyra_readonly"),
    fault(
        "reads all data",
        "GRANT pg_read_all_data TO lyra_readonly",
        *("membership-in-predefined-role", "lyra_readonly in pg_read_all_data"),
    ),
    fault(
        "writes all data",
        "GRANT pg_write_all_data TO lyra_app",
        *("membership-in-predefined-role", "lyra_app in pg_write_all_data"),
    ),
    fault(
        "runs programs",
        "GRANT pg_execute_server_program TO lyra_migrator",
        *("membership-in-predefined-role", "lyra_migrator in pg_execute_server_program"),
    ),
    fault(
        "reads the server's files",
        "GRANT pg_read_server_files TO lyra_app",
        *("membership-in-predefined-role", "lyra_app in pg_read_server_files"),
    ),
    fault(
        "monitors the server",
        "GRANT pg_monitor TO lyra_readonly",
        *("membership-in-predefined-role", "lyra_readonly in pg_monitor"),
    ),
    fault(
        "reads all data through another role",
        "CREATE ROLE reporting; GRANT pg_read_all_data TO reporting; GRANT reporting TO lyra_app",
        *("membership-in-predefined-role", "lyra_app in pg_read_all_data"),
    ),
    fault(
        "a member of a console's role",
        "CREATE ROLE console BYPASSRLS; GRANT console TO lyra_app",
        *("membership-in-powerful-role", "lyra_app in console"),
    ),
    fault(
        "a member of the superuser",
        "GRANT postgres TO lyra_readonly",
        *("membership-in-powerful-role", "lyra_readonly in postgres"),
    ),
    fault(
        "a service is a member of the owner",
        "GRANT lyra_owner TO lyra_app",
        *("membership-among-roles", "lyra_app in lyra_owner"),
    ),
    fault(
        "a reader is a member of the service",
        "GRANT lyra_app TO lyra_readonly",
        *("membership-among-roles", "lyra_readonly in lyra_app"),
    ),
    fault(
        "a person is a member of the owner",
        "CREATE ROLE intern LOGIN; GRANT lyra_owner TO intern",
        *("membership-of-another-role", "intern in lyra_owner"),
    ),
    fault(
        "another product's service is a member",
        "GRANT lyra_readonly TO fg_user",
        *("membership-of-another-role", "fg_user in lyra_readonly"),
    ),
    fault(
        "the migrator passes its membership on",
        "GRANT lyra_owner TO lyra_migrator WITH ADMIN OPTION",
        *("membership-passed-on", "lyra_migrator on lyra_owner"),
    ),
]
