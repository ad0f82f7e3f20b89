"""Rules about row security: on, forced, for whom, failing closed, and not gone round by a view. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

_DOCS = "PostgreSQL: Row Security Policies"

RULES = (
    Rule(
        id="row-security-off",
        title="Row security is on for every table that has it declared or has policies, partitions included",
        why="Policies do nothing until it is on, and a partition does not take it over: who names it sees all rows.",
        severity="critical",
        source=f"CIS PostgreSQL: row level security; {_DOCS}",
        query="""
SELECT r.name, 'row security is off', 'ALTER TABLE ' || r.name || ' ENABLE ROW LEVEL SECURITY'
FROM relation AS r WHERE r.guarded AND NOT r.relrowsecurity
""",
    ),
    Rule(
        id="row-security-not-forced",
        title="Row security binds the owner too",
        why="Without FORCE the owner, and every view and function of its, sees the rows of all users.",
        severity="high",
        source=f"CIS PostgreSQL: row level security; {_DOCS}",
        query="""
SELECT r.name, 'the owner sees every row', 'ALTER TABLE ' || r.name || ' FORCE ROW LEVEL SECURITY'
FROM relation AS r WHERE r.guarded AND NOT r.relforcerowsecurity
""",
    ),
    Rule(
        id="policy-to-public",
        title="Every policy names the role it is for",
        why="A policy to PUBLIC lets in roles that nobody thought of, and is evaluated for all of them.",
        severity="medium",
        source=f"Supabase splinter: auth_rls; {_DOCS}",
        query="""
SELECT p.polname || ' on ' || r.name, 'it is for PUBLIC',
       'ALTER POLICY ' || quote_ident(p.polname) || ' ON ' || r.name || ' TO '
       || (SELECT a.sql FROM role AS a WHERE a.kind = 'app')
FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid WHERE 0 = ANY (p.polroles)
""",
    ),
    Rule(
        id="policy-always-true",
        title="No policy lets every row pass, but for reading figures as the analytics role",
        why="Permissive policies are joined by OR: one that is always true opens the table to its roles.",
        severity="critical",
        source=f"Supabase splinter: rls_policy_always_true; {_DOCS}",
        query="""
SELECT p.polname || ' on ' || r.name, e.part || ' (' || e.text || ') holds for every row',
       'DROP POLICY ' || quote_ident(p.polname) || ' ON ' || r.name
FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid
CROSS JOIN LATERAL (VALUES ('USING', pg_get_expr(p.polqual, p.polrelid)),
                           ('WITH CHECK', pg_get_expr(p.polwithcheck, p.polrelid))) AS e (part, text)
WHERE p.polpermissive AND (e.text = 'true' OR e.text ~ '^\\(([0-9]+) = \\1\\)$')
  -- That role is made to count over all users; which tables hold figures and no content, `infra.privileges` says.
  AND NOT (p.polcmd = 'r' AND r.nspname = %(schema)s AND r.relname = ANY (%(figures)s::text[])
           AND EXISTS (SELECT FROM role AS a WHERE a.kind = 'analytics' AND p.polroles = ARRAY[a.oid]))
""",
    ),
    Rule(
        id="policy-fails-with-error",
        title="Policies ask for a setting in a way that an unset one gives no rows",
        why="current_setting without its second argument raises an error where the setting is unset, which gets worked "
        "round.",
        severity="medium",
        source="PostgreSQL: System Administration Functions, current_setting",
        query=r"""
SELECT p.polname || ' on ' || r.name, 'current_setting has no second argument',
       'ALTER POLICY ' || quote_ident(p.polname) || ' ON ' || r.name
       || coalesce(' USING (' || regexp_replace(e.using, e.call, '\1, true)', 'g') || ')', '')
       || coalesce(' WITH CHECK (' || regexp_replace(e.checked, e.call, '\1, true)', 'g') || ')', '')
FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid
CROSS JOIN LATERAL (SELECT pg_get_expr(p.polqual, p.polrelid) AS using,
                           pg_get_expr(p.polwithcheck, p.polrelid) AS checked,
                           '(current_setting\([^(),]*)\)' AS call) AS e
WHERE e.using ~ e.call OR e.checked ~ e.call
""",
    ),
    Rule(
        id="view-without-security-invoker",
        title="A view over a table with row security looks with the eyes of who asks",
        why="Otherwise it looks as its owner: a superuser's view shows every user's rows.",
        severity="high",
        source=f"Supabase splinter: security_definer_view; PostgreSQL: CREATE VIEW, security_invoker; {_DOCS}",
        since=15,
        absent="has no security_invoker",
        query="""
SELECT DISTINCT v.oid::regclass::text, 'it looks as ' || pg_get_userbyid(v.relowner) || ' on ' || t.oid::regclass,
       'ALTER VIEW ' || v.oid::regclass || ' SET (security_invoker = true)'
FROM pg_class AS v
JOIN pg_rewrite AS w ON w.ev_class = v.oid
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS t ON t.oid = d.refobjid AND t.relrowsecurity
WHERE v.relkind = 'v'
  AND NOT coalesce((SELECT lower(split_part(o, '=', 2)) IN ('true', 'on', 'yes', '1')
                    FROM unnest(v.reloptions) AS o WHERE o LIKE 'security_invoker=%%'), false)
""",
    ),
    Rule(
        id="materialized-view-over-row-security",
        title="No materialized view copies a table with row security",
        why="It holds the rows of all users, and no policy can guard it.",
        severity="high",
        source=f"Supabase splinter: materialized_view_in_api; {_DOCS}",
        query="""
SELECT DISTINCT v.oid::regclass::text, 'it copies ' || t.oid::regclass, 'DROP MATERIALIZED VIEW ' || v.oid::regclass
FROM pg_class AS v
JOIN pg_rewrite AS w ON w.ev_class = v.oid
JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS t ON t.oid = d.refobjid AND t.relrowsecurity
WHERE v.relkind = 'm'
""",
    ),
)
