"""Rules about the server: how it is reached, what it writes into its log, what is installed. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule

RULES = (
    Rule(
        id="tls-off",
        title="A server that others reach speaks TLS",
        why="Messages and SCRAM exchanges cross the network in plain text; who listens reads them.",
        severity="critical",
        source="CIS PostgreSQL: TLS is enabled; OWASP Database Security: transport layer protection",
        server_wide=True,
        query="""
SELECT 'ssl of server', 'ssl is off, and it listens on ' || s.value,
       'ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf() -- after ssl_cert_file and ssl_key_file'
FROM served AS s
WHERE s.name = 'listen_addresses' AND current_setting('ssl') = 'off' AND EXISTS (
    SELECT FROM unnest(string_to_array(s.value, ',')) AS a
    WHERE btrim(a) NOT IN ('', 'localhost', '::1') AND btrim(a) !~ '^127\\.')
""",
    ),
    Rule(
        id="login-without-password",
        title="pg_hba.conf lets nobody in without a password, nor sends one in plain text",
        why="With trust whoever reaches the port is any role; with password it crosses the network as it is.",
        severity="critical",
        source="CIS PostgreSQL: host based authentication; OWASP Database Security: authentication",
        server_wide=True,
        needs="pg_hba_file_rules, which only superusers read",
        query="""
SELECT 'pg_hba.conf line ' || h.line_number, 'its method is ' || h.auth_method,
       '-- put scram-sha-256 in line ' || h.line_number || ' of ' || current_setting('hba_file')
       || ', then SELECT pg_reload_conf()'
FROM pg_hba_file_rules AS h WHERE h.auth_method IN ('trust', 'password')
""",
    ),
    Rule(
        id="log-holds-statements",
        title="Statements are not written into the log as a matter of course",
        why="ALTER ROLE … PASSWORD stands there with its password, and an INSERT with its message: many read it.",
        severity="medium",
        source="OWASP Logging: data to exclude; PostgreSQL: CREATE ROLE, notes on passwords in the log",
        server_wide=True,
        query="""
SELECT w.name || ' of ' || w.place, 'it is ' || w.value, w.mend || quote_literal(b.good) || w.mended
FROM written AS w
JOIN (VALUES ('log_statement', '^(ddl|mod|all)$', 'none'), ('log_min_duration_statement', '^0', '1000'),
             ('debug_print_parse', '^(on|true)$', 'off'), ('debug_print_rewritten', '^(on|true)$', 'off'),
             ('debug_print_plan', '^(on|true)$', 'off')) AS b (name, bad, good) ON b.name = w.name AND w.value ~ b.bad
""",
    ),
    Rule(
        id="log-holds-values",
        title="A failed statement's values are not written into the log",
        why="Parameters are where the messages and tokens are.",
        severity="medium",
        source="OWASP Logging: data to exclude; PostgreSQL: log_parameter_max_length_on_error",
        server_wide=True,
        query="""
SELECT w.name || ' of ' || w.place, 'it is ' || w.value, w.mend || quote_literal('0') || w.mended
FROM written AS w WHERE w.name = 'log_parameter_max_length_on_error' AND w.value !~ '^0'
""",
    ),
    Rule(
        id="extension-unexpected",
        title="The database has no extension beside plpgsql",
        why="The products need none: each one is code that runs as the server, with functions open to everyone.",
        severity="low",
        source="CIS PostgreSQL: installed extensions; OWASP Database Security: remove what is not needed",
        query="""
SELECT e.extname::text, 'no product needs it', 'DROP EXTENSION ' || quote_ident(e.extname)
FROM pg_extension AS e WHERE e.extname <> 'plpgsql'
""",
    ),
)
