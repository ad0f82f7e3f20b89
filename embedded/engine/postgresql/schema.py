"""The resource type Schema: CREATE, ALTER and DROP SCHEMA. Edge; called through embedded.engine.postgresql."""

from __future__ import annotations

from embedded.engine.postgresql.noun import Noun, Property, Values
from embedded.engine.postgresql.session import Connection, Session, acting_for, do, one

PROPERTIES = {
    "name": Property(required=True),
    "database": Property(fixed=True, open=True),
    "owner": Property(open=True),
    "ifNotExists": Property(kind="bool", default=True),
    "dropCascade": Property(kind="bool", default=False),
}
LIVE = "SELECT nspname AS name, pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = %(name)s"
OWNER_OF_ALL = "pg_database_owner"


def read(session: Session, wanted: Values) -> Values | None:
    """Return a schema's properties."""
    if not session.has("database", wanted["database"]):
        return None
    what, database = f"cannot read the schema {wanted['name']}", wanted["database"]
    live = session.run(what, lambda c: one(c, LIVE, wanted), database=database)
    return live and {**live, "database": database, "policies": []}


def create(session: Session, wanted: Values, resumed: bool) -> None:  # noqa: FBT001 - a Noun's verb
    """Make a schema, or take the one that stands where `ifNotExists` allows it."""
    name, owner = wanted["name"], wanted["owner"]

    def make(connection: Connection) -> None:
        live = one(connection, LIVE, wanted)
        if live and not wanted["ifNotExists"] and not resumed:
            raise session.refuse("schema", name)
        with acting_for(connection, [OWNER_OF_ALL, owner, live["owner"] if live else None]):
            if not live:
                do(connection, "CREATE SCHEMA {}" + " AUTHORIZATION {}" * bool(owner), name, *([owner] * bool(owner)))
            elif owner and owner != live["owner"]:
                do(connection, "ALTER SCHEMA {} OWNER TO {}", name, owner)

    session.run(f"cannot create the schema {name}", make, database=wanted["database"])


def update(session: Session, old: Values, wanted: Values) -> None:
    """Rename a schema, or hand it to another owner."""

    def rename(connection: Connection) -> None:
        live = one(connection, LIVE, old)
        if live and old["name"] != wanted["name"]:
            with acting_for(connection, [OWNER_OF_ALL, live["owner"]]):
                do(connection, "ALTER SCHEMA {} RENAME TO {}", old["name"], wanted["name"])

    session.run(f"cannot change the schema {old['name']}", rename, database=wanted["database"])
    create(session, wanted, True)  # noqa: FBT003 - it stands


def delete(session: Session, old: Values) -> None:
    """Drop a schema; one that holds something only where `dropCascade` says so."""
    if not session.has("database", old["database"]):
        return

    def drop(connection: Connection) -> None:
        if live := one(connection, LIVE, old):
            with acting_for(connection, [OWNER_OF_ALL, live["owner"]]):
                do(connection, "DROP SCHEMA {} " + ("CASCADE" if old["dropCascade"] else "RESTRICT"), old["name"])

    held = "" if old["dropCascade"] else "Empty it first, or set drop_cascade=True where all in it may go."
    session.run(f"cannot drop the schema {old['name']}", drop, database=old["database"], held=held)


SCHEMA = Noun(
    properties=PROPERTIES,
    identify=lambda own: f"{own['database']}.{own['name']}",
    read=read,
    create=create,
    update=update,
    delete=delete,
)
