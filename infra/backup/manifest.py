"""What is known of a backup: what was in the database, and the file that holds it. Pure: data and its JSON.

Written beside each backup as manifest.json, once the backup is proven; read before a restore and before a teardown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from infra.backup.errors import UnreadableManifestError

FORMAT = 1
OWNS = "owns"
THE_DATABASE = "the database"

# Who has what on which object: ("lyra_app", "CONNECT", "the database"), ("lyra_owner", "owns", "schema chatdb").
Right = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a database at one moment.

    Attributes:
        version: Version by its ledger, four digits; "0000" without one.
        digest: Digest of the files up to that version, as a release is known by.
        ledger_hash: Chained hash of the ledger's newest finished row; empty without one.
        ledger_rows: How many rows the ledger has.
        ledger_sound: Whether each of its rows follows from the one before it.
        rows: Rows of each table, by its name with its schema.
        sums: For each table a sum over the hashes of its rows, so that another value is seen as another row is.
        catalogue: For each schema what stands in it, as `infra.migrations.catalogue` reads it.
        access: Owners and rights.
        sequences: How far each sequence has come at least; one that counts down, with the other sign. They are not of
            one moment: what a dump holds may be further on.
    """

    version: str
    digest: str
    ledger_hash: str
    ledger_rows: int
    ledger_sound: bool
    rows: Mapping[str, int]
    sums: Mapping[str, str]
    catalogue: Mapping[str, Any]
    access: tuple[Right, ...]
    sequences: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all tables together."""
        return sum(self.rows.values())

    @property
    def roles(self) -> list[str]:
        """Every role that owns something, has a right on it, or is named by a policy."""
        tables = [table for schema in self.catalogue.values() for table in schema["tables"].values()]
        named = {role for table in tables for policy in table["policies"].values() for role in policy["roles"]}
        having = {role for role, _, _ in self.access}
        return sorted((named | having) - {"", "public", "PUBLIC", "pg_database_owner"})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A proven backup.

    Attributes:
        name: Its name in the store.
        product: Whose database it is.
        stack: The stack it was taken for; empty without one.
        database: Name of the database.
        server: Where it was, as host:port.
        server_version: The server's version.
        owner: Role that owns the database.
        tool: Which pg_dump made it.
        tool_version: Version of chatdb.
        taken_at: Moment of the snapshot, ISO 8601 in UTC.
        proven_at: When it was restored and compared.
        proven_on: Where that was.
        bytes: Size of the dump.
        sha256: Hex digest of the dump.
        contents: What was in the database.
    """

    name: str
    product: str
    stack: str
    database: str
    server: str
    server_version: str
    owner: str
    tool: str
    tool_version: str
    taken_at: str
    proven_at: str
    proven_on: str
    bytes: int
    sha256: str
    contents: Contents

    def text(self) -> str:
        """Return the manifest as it is written."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    def summary(self, place: str) -> dict[str, Any]:
        """Return what a machine wants to know of a backup that was just made, without the whole catalogue."""
        kept = {key: value for key, value in asdict(self).items() if key != "contents"}
        contents = {key: getattr(self.contents, key) for key in ("version", "digest", "ledger_hash", "rows")}
        return {"backup": place, **kept, **contents}


def parse(text: str, *, place: str) -> Manifest:
    """Return a manifest from its text.

    Args:
        text: What is in manifest.json.
        place: Where it was found, for the error.

    Raises:
        UnreadableManifestError: it is no manifest, or one of a newer format.
    """
    try:
        data = json.loads(text)
        if data.pop("format") != FORMAT:
            raise UnreadableManifestError(place, "it is of another format; a newer chatdb wrote it")
        found = data.pop("contents")
        contents = Contents(**{**found, "access": tuple((role, what, on) for role, what, on in found["access"])})
        return Manifest(**data, contents=contents)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableManifestError(place, f"{type(error).__name__}: {error}") from None
