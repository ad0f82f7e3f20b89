"""Rules about what roles are: attributes like a superuser's, and memberships. Pure data."""

from __future__ import annotations

from infra.audit.model import Rule, Severity


def _attribute(id_: str, column: str, attribute: str, severity: Severity, why: str) -> Rule:
    return Rule(
        id=id_,
        title=f"No role of the product has {attribute}",
        why=why,
        severity=severity,
        source="CIS PostgreSQL: access controls, excessive administrative privileges; PostgreSQL: Role Attributes",
        query=f"""
SELECT r.name, 'it has {attribute}', 'ALTER ROLE ' || r.sql || ' NO{attribute}'
FROM role AS r JOIN pg_roles AS p ON p.oid = r.oid WHERE p.{column}
""",  # noqa: S608 - the names are the constants below
    )


RULES = (
    _attribute("role-is-superuser", "rolsuper", "SUPERUSER", "critical", "Nothing binds a superuser, on any database."),
    _attribute(
        *("role-bypasses-row-security", "rolbypassrls", "BYPASSRLS", "critical"),
        "It sees and changes the rows of every user, whatever the policies say.",
    ),
    _attribute(
        *("role-creates-roles", "rolcreaterole", "CREATEROLE", "high"),
        "It may give itself memberships in other roles, before PostgreSQL 16 in almost any.",
    ),
    _attribute(
        *("role-creates-databases", "rolcreatedb", "CREATEDB", "medium"),
        "It owns what it creates, may fill the disk and copy templates.",
    ),
    _attribute(
        *("role-replicates", "rolreplication", "REPLICATION", "high"),
        "A replication connection reads every row of every database, past all grants and policies.",
    ),
    Rule(
        id="membership-in-predefined-role",
        title="No role of the product is a member of a predefined role",
        why="These roles read or write all data, run programs or read the server's files, past every grant of ours.",
        severity="critical",
        source="CIS PostgreSQL: predefined roles; PostgreSQL: Predefined Roles",
        query="""
SELECT r.name || ' in ' || m.rolname, 'it may do what ' || m.rolname || ' may',
       coalesce((SELECT 'REVOKE ' || quote_ident(m.rolname) || ' FROM ' || r.sql || x.by
                 FROM membership AS x WHERE x.roleid = m.oid AND x.member = r.oid ORDER BY x.grantor LIMIT 1),
                '-- revoke the membership through which it comes')
FROM role AS r JOIN pg_roles AS m ON m.rolname ~ '^pg_' AND m.rolname <> 'pg_database_owner'
WHERE pg_has_role(r.oid, m.oid, 'MEMBER') AND NOT (SELECT p.rolsuper FROM pg_roles AS p WHERE p.oid = r.oid)
  -- pg_monitor is a member of others: the one that was granted is told, not those behind it.
  AND (EXISTS (SELECT FROM membership AS x WHERE x.roleid = m.oid AND x.member = r.oid)
       OR NOT EXISTS (SELECT FROM membership AS x JOIN pg_roles AS p ON p.oid = x.member
                      WHERE x.roleid = m.oid AND p.rolname ~ '^pg_' AND pg_has_role(r.oid, p.oid, 'MEMBER')))
""",
    ),
    Rule(
        id="membership-in-powerful-role",
        title="No role of the product is a member of a role with an administrator's attributes",
        why="SET ROLE to such a role takes on its attributes: neon_superuser and its like bypass row security.",
        severity="critical",
        source="PostgreSQL: Role Membership; Neon: roles made in the console",
        query="""
SELECT r.name || ' in ' || m.rolname, 'by SET ROLE it becomes ' || array_to_string(array_remove(ARRAY[
           CASE WHEN m.rolsuper THEN 'SUPERUSER' END, CASE WHEN m.rolbypassrls THEN 'BYPASSRLS' END,
           CASE WHEN m.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN m.rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN m.rolreplication THEN 'REPLICATION' END], NULL), ', '),
       'REVOKE ' || quote_ident(m.rolname) || ' FROM ' || r.sql || x.by
FROM role AS r
JOIN membership AS x ON x.member = r.oid
JOIN pg_roles AS m ON m.oid = x.roleid
WHERE m.rolsuper OR m.rolbypassrls OR m.rolcreaterole OR m.rolcreatedb OR m.rolreplication
""",
    ),
    Rule(
        id="membership-among-roles",
        title="Of the product's roles only the migrator is a member of the owner, and a second login of its first",
        why="A service that is a member of the owner may change and drop the tables it serves.",
        severity="high",
        source="OWASP Database Security: not the owner of the database; PostgreSQL: Role Membership",
        query="""
SELECT r.name || ' in ' || o.name, 'it may act as ' || o.name,
       'REVOKE ' || o.sql || ' FROM ' || r.sql || x.by
FROM role AS r JOIN membership AS x ON x.member = r.oid JOIN role AS o ON o.oid = x.roleid
WHERE NOT (r.kind = 'migrator' AND o.kind = 'owner') AND r.kind <> o.kind || '_b'
""",
    ),
    Rule(
        id="membership-of-another-role",
        title="No role from elsewhere is a member of a role of the product",
        why="It may do all that the product's role may, under a name that no grant shows.",
        severity="high",
        source="CIS PostgreSQL: access controls, role membership",
        query="""
SELECT m.rolname || ' in ' || r.name, 'it may act as ' || r.name,
       'REVOKE ' || r.sql || ' FROM ' || quote_ident(m.rolname) || x.by
FROM role AS r JOIN membership AS x ON x.roleid = r.oid JOIN pg_roles AS m ON m.oid = x.member
WHERE m.rolname <> ALL (%(roles)s::text[])
  -- An administrator of a managed server made these roles, and acts as the owner to give it the database.
  AND NOT (m.rolsuper OR m.rolcreaterole)
""",
    ),
    Rule(
        id="membership-passed-on",
        title="No role of the product may pass a membership on",
        why="With ADMIN OPTION it makes others members, past whoever administers the server.",
        severity="medium",
        source="PostgreSQL: GRANT, WITH ADMIN OPTION",
        query="""
SELECT r.name || ' on ' || o.rolname, 'it has ADMIN OPTION',
       'REVOKE ADMIN OPTION FOR ' || quote_ident(o.rolname) || ' FROM ' || r.sql || x.by
FROM role AS r JOIN membership AS x ON x.member = r.oid AND x.admin_option JOIN pg_roles AS o ON o.oid = x.roleid
""",
    ),
)
