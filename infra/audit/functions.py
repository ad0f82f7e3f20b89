"""Rules about functions: whose objects their names mean, and what they may do. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

_ALTER = "'ALTER ' || CASE f.noun WHEN 'AGGREGATE' THEN 'FUNCTION' ELSE f.noun END || ' ' || f.name"

RULES = (
    Rule(
        id="definer-search-path",
        title="A SECURITY DEFINER function pins its search_path",
        why="The caller's search_path decides what its names mean: who may create a function on it acts as the owner.",
        severity="critical",
        source="CVE-2018-1058; PostgreSQL: CREATE FUNCTION, Writing SECURITY DEFINER Functions Safely",
        query=f"""
SELECT f.name, 'it runs as ' || pg_get_userbyid(f.proowner) || ' with the caller''s search_path',
       {_ALTER} || ' SET search_path = '''''
FROM function AS f WHERE f.prosecdef AND f.search_path IS NULL
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="function-search-path",
        title="Every function pins its search_path",
        why="A trigger or view calls it with whatever search_path the session has: its names may mean other objects.",
        severity="medium",
        source="CVE-2018-1058; Supabase splinter: function_search_path_mutable",
        query=f"""
SELECT f.name, 'its names mean what the caller''s search_path says', {_ALTER} || ' SET search_path = '''''
FROM function AS f
-- A body that was bound when it was made has no names left; an aggregate has no body.
WHERE NOT f.prosecdef AND f.search_path IS NULL AND NOT f.bound AND f.prokind <> 'a'
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="definer-path-without-pg-temp",
        title="A SECURITY DEFINER function with schemas on its search_path names pg_temp last",
        why="Otherwise a caller's temporary table stands before every table that the function names.",
        severity="high",
        source="PostgreSQL: CREATE FUNCTION, Writing SECURITY DEFINER Functions Safely",
        query=f"""
SELECT f.name, 'its search_path is ' || f.search_path, {_ALTER} || ' SET search_path = '''''
FROM function AS f
WHERE f.prosecdef AND f.search_path NOT IN ('', '""') AND f.search_path !~ 'pg_temp"?\\s*$'
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="function-path-writable",
        title="No function's search_path holds a schema in which others may create",
        why="Pinning it helps nothing where anyone may put an object into it.",
        severity="high",
        source="CVE-2018-1058",
        query=f"""
SELECT f.name, 'its search_path holds ' || e.schema, {_ALTER} || ' SET search_path = '''''
FROM function AS f
CROSS JOIN LATERAL (SELECT btrim(s, ' "') AS schema FROM unnest(string_to_array(f.search_path, ',')) AS s) AS e
WHERE e.schema = '$user' OR EXISTS (
    SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
    WHERE n.nspname = e.schema AND a.privilege_type = 'CREATE'
      AND (a.grantee = 0 OR a.grantee IN (SELECT r.oid FROM role AS r WHERE r.kind <> 'owner')))
""",  # noqa: S608 - composed of the constant above
    ),
    Rule(
        id="function-fails-with-error",
        title="Functions ask for a setting in a way that an unset one is no error",
        why="current_setting without its second argument raises an error where the setting is unset.",
        severity="low",
        source="PostgreSQL: System Administration Functions, current_setting",
        query=r"""
SELECT f.name, 'current_setting has no second argument',
       regexp_replace(pg_get_functiondef(f.oid), '(current_setting\s*\([^(),]*)\)', '\1, true)', 'gi')
FROM function AS f WHERE f.prokind <> 'a' AND f.prosrc ~* 'current_setting\s*\([^(),]*\)'
""",
    ),
    Rule(
        id="function-untrusted-language",
        title="No function is in a language that reaches past the database",
        why="An untrusted language reads files and runs programs as the account of the server.",
        severity="high",
        source="CIS PostgreSQL: untrusted languages; PostgreSQL: CREATE LANGUAGE, TRUSTED",
        query="""
SELECT f.name, 'it is in ' || f.lanname, 'DROP ' || f.noun || ' ' || f.name
FROM function AS f WHERE NOT f.lanpltrusted AND f.prokind <> 'a'
""",
    ),
)
