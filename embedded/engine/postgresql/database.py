"""The resource type Database: CREATE, ALTER and DROP DATABASE. Edge; called through embedded.engine.postgresql."""

from __future__ import annotations

from psycopg import sql

from embedded.engine.postgresql.noun import Noun, Property, Values
from embedded.engine.postgresql.session import Connection, Session, acting_for, do, one

PROPERTIES = {
    "name": Property(required=True),
    "owner": Property(open=True),
    "template": Property(fixed=True, open=True),
    "encoding": Property(fixed=True, open=True),
    "lcCollate": Property(fixed=True, open=True),
    "lcCtype": Property(fixed=True, open=True),
    "connectionLimit": Property(kind="int", default=-1),
    "allowConnections": Property(kind="bool", default=True),
    "isTemplate": Property(kind="bool", open=True),
}
LIVE = """
    SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding,
           datcollate AS "lcCollate", datctype AS "lcCtype", datconnlimit AS "connectionLimit",
           datallowconn AS "allowConnections", datistemplate AS "isTemplate", spcname AS "tablespaceName"
    FROM pg_database JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %(name)s
    """


def read(session: Session, wanted: Values) -> Values | None:
    """Return a database's properties; its template cannot be seen afterwards."""
    live = session.run(f"cannot read the database {wanted['name']}", lambda c: one(c, LIVE, wanted))
    return live and {**live, "template": wanted["template"] or "template0", "alterObjectOwnership": False}


def create(session: Session, wanted: Values, resumed: bool) -> None:  # noqa: FBT001 - a Noun's verb
    """Make a database; one that an earlier run made is brought to what is wanted."""
    name, what = wanted["name"], f"cannot create the database {wanted['name']}"
    stood = session.has("database", name)
    if stood and not resumed:
        raise session.refuse("database", name)
    clauses: list[sql.Composable] = [sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))]
    template, encoding = wanted["template"] or "template0", wanted["encoding"] or "UTF8"
    if template.upper() != "DEFAULT":
        clauses.append(sql.SQL("TEMPLATE {}").format(sql.Identifier(template)))
    given = (("ENCODING {}", encoding), ("LC_COLLATE {}", wanted["lcCollate"]), ("LC_CTYPE {}", wanted["lcCtype"]))
    clauses += [
        sql.SQL(text).format(sql.Literal(value)) for text, value in given if value and value.upper() != "DEFAULT"
    ]
    if not stood:
        session.run(what, lambda c: c.execute(sql.Composed(clauses).join(" ")), atomic=False)
    try:
        session.run(what, lambda c: _converge(c, wanted))
    except Exception:
        if not stood:  # all or nothing, though CREATE DATABASE takes no part in a transaction
            session.run(what, lambda c: do(c, "DROP DATABASE {}", name), atomic=False)
        raise


def update(session: Session, old: Values, wanted: Values) -> None:
    """Change a database in place; a new name keeps its data."""

    def change(connection: Connection) -> None:
        live = one(connection, LIVE, old)
        if live and old["name"] != wanted["name"]:
            with acting_for(connection, [live["owner"]]):
                do(connection, "ALTER DATABASE {} RENAME TO {}", old["name"], wanted["name"])
        _converge(connection, wanted)

    session.forget(old["name"])
    session.run(f"cannot change the database {old['name']}", change)


def delete(session: Session, old: Values) -> None:
    """Drop a database, whoever is connected to it."""

    def drop(connection: Connection) -> None:
        if live := one(connection, LIVE, old):
            query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL"
            users = [row[0] for row in connection.execute(query, [old["name"]])]
            with acting_for(connection, [live["owner"], *users]):  # only who may act as its role may end a session
                if live["isTemplate"]:
                    do(connection, "ALTER DATABASE {} IS_TEMPLATE false", old["name"])
                do(connection, "DROP DATABASE {} WITH (FORCE)", old["name"])

    session.forget(old["name"])
    session.run(f"cannot drop the database {old['name']}", drop, atomic=False)


def _converge(connection: Connection, wanted: Values) -> None:
    """Bring what can be changed in place to what is wanted."""
    live = one(connection, LIVE, wanted) or {"owner": None}
    start = sql.SQL("ALTER DATABASE {} ").format(sql.Identifier(wanted["name"]))
    changes = {
        "connectionLimit": "CONNECTION LIMIT",
        "allowConnections": "ALLOW_CONNECTIONS",
        "isTemplate": "IS_TEMPLATE",
    }
    with acting_for(connection, [live["owner"], wanted["owner"]]):
        for key, words in changes.items():
            if wanted[key] is not None and wanted[key] != live.get(key):
                connection.execute(start + sql.SQL(words + " {}").format(sql.Literal(wanted[key])))
        if wanted["owner"] and wanted["owner"] != live["owner"]:
            connection.execute(start + sql.SQL("OWNER TO {}").format(sql.Identifier(wanted["owner"])))


DATABASE = Noun(
    properties=PROPERTIES, identify=lambda own: str(own["name"]), read=read, create=create, update=update, delete=delete
)
