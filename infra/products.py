"""Read what the repository says of each product: `schema/<product>/product.toml`. Reads files, decides nothing.

Called by the program, the migration resource and the command line. Standard library alone, so that it loads fast.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import SettingsError, unknown_name

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SCHEMA_ROOT = PROJECT_ROOT / "schema"


def in_project(path: str) -> str:
    """Return a path of the settings as it is from anywhere: a relative one starts at the project's folder.

    Args:
        path: Empty for none; libpq's word "system" (the CAs of this machine) is no path. Both come back as they are.
    """
    return path if path in ("", "system") else str(PROJECT_ROOT / path)


@dataclass(frozen=True, kw_only=True)
class Prerequisite:
    """A table that belongs to the application and must stand before our first migration.

    Attributes:
        schema: Its schema.
        table: Its name.
        column: The key column our foreign key points to.
        type: The type of that column as `format_type` spells it ("uuid", "text").
    """

    schema: str
    table: str
    column: str
    type: str

    @property
    def name(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, kw_only=True)
class Product:
    """One chat product.

    Attributes:
        name: Key in settings and on the command line.
        title: Its name for people.
        database: Default name of its database.
        schema: Schema that holds its tables.
        tables: Its tables at the newest version, parents first, without their schema.
        confirmation: What a person types to let its data be deleted.
        warning: What is lost then, in one sentence.
        app_role: Login of the product's service.
        roles_in_migrations: Which of its roles the migrations name, so that no stack may name them otherwise.
        prerequisites: Tables of the application, in the order in which they are checked.
        folder: `schema/<product>`.
    """

    name: str
    title: str
    database: str
    schema: str
    tables: tuple[str, ...]
    confirmation: str
    warning: str
    app_role: str
    roles_in_migrations: tuple[str, ...]
    prerequisites: tuple[Prerequisite, ...]
    folder: Path

    @property
    def migrations_folder(self) -> Path:
        """Where its migration files are."""
        return self.folder / "migrations"

    @property
    def snapshots_folder(self) -> Path:
        """Where the catalogue snapshot of each version is, `NNNN.json`."""
        return self.folder / "snapshots"

    @property
    def stand_ins_file(self) -> Path:
        """SQL that makes stand-ins of the prerequisite tables, for dev and tests."""
        return self.folder / "stand_ins.sql"


def names(root: Path = SCHEMA_ROOT) -> list[str]:
    """Return the names of all products, sorted."""
    return sorted(file.parent.name for file in root.glob("*/product.toml"))


def load(name: str, root: Path = SCHEMA_ROOT) -> Product:
    """Return one product.

    Raises:
        UnknownNameError: no folder of that name has a product.toml.
        SettingsError: product.toml cannot be read or lacks a key.
    """
    if name not in (known := names(root)):
        raise unknown_name("product", name, known)
    file = root / name / "product.toml"
    try:
        return _parse(name, tomllib.loads(file.read_text(encoding="utf-8")), file.parent)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"schema/{name}/product.toml cannot be used",
            detail=f"missing key {error}" if isinstance(error, KeyError) else str(error),
            hint="Compare it with another product's file; CONTRIBUTING.md lists the keys.",
        ) from None


def _parse(name: str, data: dict[str, Any], folder: Path) -> Product:
    return Product(
        name=name,
        title=data["title"],
        database=data["database"],
        schema=data["schema"],
        tables=tuple(data["tables"]),
        confirmation=data["confirmation"],
        warning=data["warning"],
        app_role=data.get("app_role", f"{name}_app"),
        roles_in_migrations=tuple(data.get("roles_in_migrations", ())),
        prerequisites=tuple(Prerequisite(**entry) for entry in data.get("prerequisites", [])),
        folder=folder,
    )
