"""Faults in row security and in functions."""

from __future__ import annotations

from tests.support.audit_cases import as_owner, fault, guarded

ARCHIVE = as_owner(
    "CREATE TABLE chat.archive (id uuid, user_id uuid, month date, PRIMARY KEY (user_id, id, month))"
    " PARTITION BY RANGE (month);"
    "ALTER TABLE chat.archive ENABLE ROW LEVEL SECURITY; ALTER TABLE chat.archive FORCE ROW LEVEL SECURITY;"
    "CREATE TABLE chat.archive_2026 PARTITION OF chat.archive FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
)
OWN = "user_id = nullif(current_setting('app.current_user_id', true), '')::uuid"
ROW_SECURITY = [
    guarded(
        "row security is off",
        "ALTER TABLE chat.messages DISABLE ROW LEVEL SECURITY",
        "row-security-off",
        "chat.messages",
    ),
    guarded("a partition without", ARCHIVE, "row-security-off", "chat.archive_2026"),
    guarded(
        "not forced",
        "ALTER TABLE chat.messages NO FORCE ROW LEVEL SECURITY",
        *("row-security-not-forced", "chat.messages"),
    ),
    guarded(
        "a partition not forced",
        f"{ARCHIVE}; ALTER TABLE chat.archive_2026 ENABLE ROW LEVEL SECURITY",
        *("row-security-not-forced", "chat.archive_2026"),
    ),
    guarded(
        "a policy to all",
        "ALTER POLICY messages_own_rows ON chat.messages TO PUBLIC",
        *("policy-to-public", "messages_own_rows on chat.messages"),
    ),
    guarded(
        "a policy that is always true",
        "CREATE POLICY open ON chat.messages FOR SELECT TO futureguide_readonly USING (true)",
        *("policy-always-true", "open on chat.messages"),
    ),
    guarded(
        "a policy that lets all be written",
        f"CREATE POLICY open ON chat.messages TO fg_user USING ({OWN}) WITH CHECK (true)",
        *("policy-always-true", "open on chat.messages"),
    ),
    guarded(
        "analytics reads more than figures",
        "CREATE POLICY open ON chat.messages FOR SELECT TO futureguide_analytics USING (true)",
        *("policy-always-true", "open on chat.messages"),
    ),
    guarded(
        "analytics changes figures",
        "CREATE POLICY open ON chat.usage_tracking TO futureguide_analytics USING (true)",
        *("policy-always-true", "open on chat.usage_tracking"),
    ),
    guarded(
        "another reads the figures of all beside analytics",
        "ALTER POLICY usage_tracking_figures ON chat.usage_tracking TO futureguide_analytics, futureguide_readonly",
        *("policy-always-true", "usage_tracking_figures on chat.usage_tracking"),
    ),
    guarded(
        "a policy that is true in disguise",
        "CREATE POLICY open ON chat.messages TO fg_user USING (1 = 1)",
        *("policy-always-true", "open on chat.messages"),
    ),
    guarded(
        "a policy that fails with an error",
        "ALTER POLICY messages_own_rows ON chat.messages"
        " USING (user_id = current_setting('app.current_user_id')::uuid)",
        *("policy-fails-with-error", "messages_own_rows on chat.messages"),
    ),
    guarded(
        "a view of the superuser's",
        "CREATE VIEW public.everything AS SELECT * FROM chat.messages",
        *("view-without-security-invoker", "public.everything"),
    ),
    guarded(
        "a view whose option was turned off",
        as_owner("CREATE VIEW chat.v WITH (security_invoker = false) AS SELECT id FROM chat.conversations"),
        *("view-without-security-invoker", "chat.v"),
    ),
    guarded(
        "a copy of the messages",
        "CREATE MATERIALIZED VIEW chat.copied AS SELECT * FROM chat.messages",
        *("materialized-view-over-row-security", "chat.copied"),
    ),
]
FUNCTIONS = [
    guarded(
        "a definer with the caller's path",
        "CREATE FUNCTION chat.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        *("definer-search-path", "chat.f()"),
    ),
    guarded(
        "a function with the caller's path",
        "ALTER FUNCTION chat.set_updated_at() RESET search_path",
        *("function-search-path", "chat.set_updated_at()"),
    ),
    fault(
        "the owner's function beside the application's",
        "SET ROLE lyra_owner; CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE",
        *("function-search-path", "public.f()"),
    ),
    guarded(
        "a definer behind temporary tables",
        "CREATE FUNCTION chat.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = chat AS 'SELECT 1'",
        *("definer-path-without-pg-temp", "chat.f()"),
    ),
    guarded(
        "a path of the caller's name",
        """ALTER FUNCTION chat.set_updated_at() SET search_path = "$user", chat""",
        *("function-path-writable", "chat.set_updated_at()"),
    ),
    guarded(
        "a path that all create in",
        "GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER FUNCTION chat.set_updated_at() SET search_path = chat, public",
        *("function-path-writable", "chat.set_updated_at()"),
    ),
    guarded(
        "a function that fails with an error",
        "CREATE FUNCTION chat.f() RETURNS text LANGUAGE plpgsql SET search_path = ''"
        " AS $$BEGIN RETURN current_setting('app.current_user_id'); END$$",
        *("function-fails-with-error", "chat.f()"),
    ),
    guarded(
        "a function past the database",
        "CREATE FUNCTION chat.f(text) RETURNS bytea LANGUAGE internal STRICT SET search_path = ''"
        " AS 'pg_read_binary_file_all'",
        *("function-untrusted-language", "chat.f(text)"),
    ),
]
