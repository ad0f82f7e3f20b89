"""The base of the project's dynamic providers: errors reach the user as our text, never as a traceback.

Pulumi's own process for dynamic resources (`pulumi.dynamic.__main__`) sends `traceback.format_exc()` as the error. This
module gives that process a formatter that knows our errors. On the embedded engine the provider is called directly and
nothing is replaced. Subclasses live in importable modules whose names never change: a stack's state holds them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pulumi.dynamic import ConfigureRequest, ResourceProvider
from pulumi.runtime import rpc

from infra.aws import Access
from infra.connection import Target
from infra.errors import ChatdbError, unforeseen
from infra.products import in_project

# The inputs of a resource that name a database: structured fields, the password a secret. `iam` stands in the place of
# a password: how AWS is reached for a token, never the token itself, which would differ in each preview.
CONNECTION_KEYS = ("host", "port", "database", "user", "password", "sslMode", "sslRootCert", "iam")


class PlainErrorProvider(ResourceProvider):
    """A dynamic provider whose errors are shown as `infra.errors` words them."""

    # The class holds no secret: kept in plain, the state's diff stays readable.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Replace the traceback formatter of Pulumi's provider process, where this runs in one."""
        process = sys.modules["__main__"]
        if hasattr(process, "DynamicResourceProviderServicer"):
            process.traceback = SimpleNamespace(format_exc=format_error)  # type: ignore[attr-defined]


def format_error() -> str:
    """Return the error being handled as text: ours as it is, any other with where it arose."""
    error = sys.exc_info()[1]
    if error is None or isinstance(error, ChatdbError):
        return str(error or "")
    return str(unforeseen(error))


def target_of(props: Mapping[str, Any]) -> Target:
    """Return the database that a resource's inputs name by `CONNECTION_KEYS`, acting as `owner` where they have one."""
    return Target(
        host=props["host"],
        port=int(props["port"]),
        database=props["database"],
        user=props["user"],
        password=props["password"],
        role=props.get("owner", ""),
        sslmode=props["sslMode"],
        sslrootcert=in_project(props["sslRootCert"]),
        iam=Access.of(props["iam"]) if props.get("iam") else None,
    )


def is_known(*values: Any) -> bool:
    """Tell whether none of the values is still unknown, as outputs of resources to be made are in a preview."""
    return not rpc.contains_unknowns(list(values))


def changed_keys(olds: Mapping[str, Any], news: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return the keys whose values differ or are not known yet."""
    return [key for key in keys if olds.get(key) != news.get(key) or not is_known(news.get(key))]
