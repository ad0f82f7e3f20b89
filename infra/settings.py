"""Read a stack's settings: every key typed, every mistake reported at once with a valid example.

Pure: takes the configuration as a mapping, returns data or raises. Called by `__main__` with what Pulumi read, and by
the command line with what the stack file holds. Keys are described in `Pulumi.yaml`; a test keeps the two equal.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra import products
from infra.errors import SettingsError

NAMESPACE = "chatdb"
ENCRYPTING_MODES = ("require", "verify-ca", "verify-full")

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Port = Annotated[int, Field(ge=1, le=65535)]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]


def _from_json(value: Any) -> Any:
    """Decode a list as Pulumi hands it over: JSON in a string; what is none stays, for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


class StackSettings(BaseModel):
    """What one stack says of its server, its products and how careful to be.

    Times are in milliseconds, where 0 means no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True)

    products: Annotated[tuple[str, ...], BeforeValidator(_from_json)] = Field(
        default_factory=lambda: tuple(products.names()),
        description="Products this stack carries; all of them where the key is absent.",
        examples=['["lyra", "storefront"]'],
    )
    server_file: str = Field(
        default="",
        description="File with the embedded server's address and administrator; in place of host, username, password.",
        examples=[".chatdb/dev/server/server.json"],
    )
    host: str = Field(
        default="", description="Host name or address of the PostgreSQL server.", examples=["db.example.com"]
    )
    port: Port = Field(default=5432, description="TCP port of the server.", examples=["5432"])
    username: str = Field(
        default="",
        description="Administrator: a superuser, or a role with CREATEROLE and CREATEDB.",
        examples=["postgres"],
    )
    password: SecretStr = Field(
        default=SecretStr(""), description="The administrator's password; set it with --secret.", examples=["--secret"]
    )
    superuser: bool = Field(
        default=False,
        description="Whether the administrator is a superuser; false on RDS, Cloud SQL, Neon and the like.",
        examples=["false"],
    )
    maintenance_database: str = Field(
        default="postgres", description="Database the administrator connects to first.", examples=["postgres"]
    )
    ssl_mode: SslMode = Field(
        default="require",
        description="TLS as libpq's sslmode; production takes require or stricter.",
        examples=["verify-full"],
    )
    ssl_root_cert: str = Field(
        default="", description="CA file for verify-ca and verify-full.", examples=["certs/rds-ca.pem"]
    )
    stand_ins: bool = Field(
        default=False,
        description="Make stand-ins of the application's tables (users, agents, accounts); not in production.",
        examples=["true"],
    )
    adopt: bool = Field(
        default=False,
        description="Take over tables that stand already where they equal a known version exactly.",
        examples=["true"],
    )
    on_destroy: Literal["drop", "keep"] = Field(
        default="keep",
        description="What `destroy` does with databases: drop removes them with all data, keep protects them.",
        examples=["keep"],
    )
    production: bool = Field(
        default=False,
        description="Marks the stack as production: TLS, no stand-ins, databases kept, steps back refused.",
        examples=["true"],
    )
    app_connection_limit: Annotated[int, Field(ge=-1, le=10_000)] = Field(
        default=50, description="Connections each product's service may hold at once; -1 for no limit.", examples=["50"]
    )
    app_statement_timeout: Milliseconds = Field(
        default=15_000,
        description="Longest statement of the services, in milliseconds; 0 for no limit.",
        examples=["15000"],
    )
    readonly_connection_limit: Annotated[int, Field(ge=-1, le=10_000)] = Field(
        default=10, description="Connections each readonly login may hold at once; -1 for no limit.", examples=["10"]
    )
    readonly_statement_timeout: Milliseconds = Field(
        default=60_000,
        description="Longest statement of the readonly logins, in milliseconds; 0 for no limit.",
        examples=["60000"],
    )
    lock_timeout: Milliseconds = Field(
        default=3_000,
        description="How long services and readonly logins wait for a lock, in milliseconds; 0 for no limit.",
        examples=["3000"],
    )
    idle_in_transaction_timeout: Milliseconds = Field(
        default=30_000,
        description="How long their transactions may stand idle, in milliseconds; 0 for no limit.",
        examples=["30000"],
    )
    transaction_timeout: Milliseconds = Field(
        default=120_000,
        description="Their longest transaction, in milliseconds; 0 for no limit; PostgreSQL 17 and later.",
        examples=["120000"],
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Collect every contradiction between keys, so that one run reports them all."""
        mistakes = [*_product_mistakes(self.products), *_server_mistakes(self), *_production_mistakes(self)]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self


def _product_mistakes(names: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the chosen products."""
    known = products.names()
    mistakes = []
    if not names:
        mistakes.append(f"products: names no product; for example {json.dumps(known[:2])}")
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {close[0]}" if close else ""
            mistakes.append(f"products: there is no product {name!r}{meant}; known: {', '.join(known)}")
    if len(set(names)) != len(names):
        mistakes.append("products: names a product twice; name each once")
    return mistakes


def _server_mistakes(settings: StackSettings) -> list[str]:
    """Return what is missing to reach a server."""
    if settings.server_file:
        if settings.host:
            return ["host: stands beside serverFile; keep one of the two"]
        return []
    mistakes = []
    if not settings.host:
        mistakes.append("host: is missing, and no serverFile stands in for it; for example db.example.com")
    if not settings.username:
        mistakes.append("username: is missing; for example postgres")
    if not settings.password.get_secret_value():
        mistakes.append("password: is missing; set it with `chatdb config set --secret chatdb:password`")
    return mistakes


def _production_mistakes(settings: StackSettings) -> list[str]:
    """Return what a production stack may not ask for."""
    mistakes = []
    if settings.ssl_mode in ("verify-ca", "verify-full") and not settings.ssl_root_cert:
        mistakes.append(f"sslRootCert: is missing for sslMode {settings.ssl_mode}; for example certs/rds-ca.pem")
    if not settings.production:
        return mistakes
    if settings.stand_ins:
        mistakes.append("standIns: is true, and production never makes stand-ins; for example false")
    if settings.on_destroy == "drop":
        mistakes.append("onDestroy: is drop, and production keeps its databases; for example keep")
    if settings.ssl_mode not in ENCRYPTING_MODES:
        mistakes.append(f"sslMode: is {settings.ssl_mode}, and production asks for TLS; for example verify-full")
    return mistakes


def load(config: Mapping[str, Any], *, stack: str, secret_keys: Collection[str] = ()) -> StackSettings:
    """Return the settings of a stack.

    Args:
        config: Every configuration value by its full key ("chatdb:host"); keys of other namespaces are left alone.
        stack: Name of the stack, for messages.
        secret_keys: Full keys of the values that are stored encrypted.

    Raises:
        SettingsError: names each key that is wrong or unknown, what is wrong with it and a valid example.
    """
    prefix = f"{NAMESPACE}:"
    values = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    mistakes = _mistakes(values)
    if values.get("password") and f"{prefix}password" not in secret_keys:
        mistakes.append("password: stands in plain text; set it with `chatdb config set --secret chatdb:password`")
    if not mistakes:
        return StackSettings.model_validate(values)
    count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    raise SettingsError(
        f"the settings of stack {stack} have {count}",
        detail="".join(f"\n  {NAMESPACE}:{line}" for line in mistakes),
        hint=f"Mend them in Pulumi.{stack}.yaml (`chatdb config set --stack {stack}`); Pulumi.yaml has every key.",
        state="Nothing was changed.",
    )


def _mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return every mistake, a line each.

    A malformed value keeps pydantic from the rules between keys, so those are asked a second time, about the rest.
    """
    first = _validate(values)
    wrong = {line.split(":", 1)[0] for line in first}
    well_formed = {key: value for key, value in values.items() if key not in wrong}
    second = _validate(well_formed) if first else []
    return list(dict.fromkeys([*first, *(line for line in second if line.split(":", 1)[0] not in wrong)]))


def _validate(values: Mapping[str, Any]) -> list[str]:
    try:
        StackSettings.model_validate(values)
    except ValidationError as error:
        return [line for entry in error.errors() for line in _sentences(dict(entry))]
    return []


def _fields_by_key() -> dict[str, str]:
    """Return the field of each key, as `serverFile` → `server_file`."""
    return {field.alias or name: name for name, field in StackSettings.model_fields.items()}


def _sentences(entry: dict[str, Any]) -> list[str]:
    """Return one line per mistake: `key: what is wrong; for example …`, without the value, which may be a secret."""
    if not entry["loc"]:
        return str(entry["ctx"]["error"]).splitlines()
    key = str(entry["loc"][0])
    fields = _fields_by_key()
    if key not in fields:
        close = difflib.get_close_matches(key, fields, n=1)
        meant = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
        return [f"{key}: there is no such key; {meant}"]
    reason = entry["msg"][0].lower() + entry["msg"][1:]
    example = (StackSettings.model_fields[fields[key]].examples or [""])[0]
    return [f"{key}: {reason}; for example {example}"]
