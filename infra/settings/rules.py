"""What the keys of a stack may not say together. Pure; called by the validator of `infra.settings.model`."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from infra import products
from infra.settings.roles import role_mistakes

if TYPE_CHECKING:
    from infra.settings.model import StackSettings

ENCRYPTING_MODES = ("require", "verify-ca", "verify-full")
# Longest reason of a promotion's override, in characters: it stands in a column of the ledger.
REASON_LENGTH = 200


def contradictions(settings: StackSettings) -> list[str]:
    """Return every contradiction between keys, a line each: `key: what is wrong; for example …`."""
    return [
        *_product_mistakes(settings.products),
        *role_mistakes(settings),
        *_server_mistakes(settings),
        *_aws_mistakes(settings),
        *_production_mistakes(settings),
        *_promotion_mistakes(settings.promote_from, settings.promotion_override),
    ]


def confirmation_mistakes(given: str, *, stack: str) -> list[str]:
    """Return what is wrong with the phrase that takes the protection off: it names the stack, to the letter."""
    wanted = f"DESTROY {stack}"
    return [] if given in ("", wanted) else [f"destroyConfirmation: is not the phrase; it is {wanted}"]


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
    """Return what is missing to reach a server, and what stands there twice."""
    if settings.server_file:
        beside = {"host": settings.host, **_ways_in(settings)}
        return [f"{key}: stands beside serverFile; keep one of the two" for key, value in beside.items() if value]
    mistakes = []
    if not settings.host and not settings.admin_secret:
        mistakes.append(
            "host: is missing, and neither serverFile nor adminSecret stands in for it; for example db.example.com"
        )
    if not settings.username and not settings.admin_secret:
        mistakes.append("username: is missing; for example postgres")
    found = [key for key, value in _ways_in(settings).items() if value]
    if not found:
        mistakes.append(
            "password: is missing, and neither adminSecret nor iamAuthentication stands in for it; set it with "
            "`chatdb config set --secret chatdb:password`"
        )
    mistakes += [f"{key}: stands beside {found[0]}; keep one of the two" for key in found[1:]]
    return mistakes


def _ways_in(settings: StackSettings) -> dict[str, object]:
    """Return by what the administrator logs in: one of these, or the server file."""
    return {
        "password": settings.password.get_secret_value(),
        "adminSecret": settings.admin_secret,
        "iamAuthentication": settings.iam_authentication,
    }


def _aws_mistakes(settings: StackSettings) -> list[str]:
    """Return what keeps AWS's parts from working together."""
    mistakes = []
    if settings.iam_authentication and settings.ssl_mode not in ENCRYPTING_MODES:
        mistakes.append(f"sslMode: is {settings.ssl_mode}, and a token goes over TLS alone; for example verify-full")
    if settings.iam_authentication and settings.aws_role and settings.aws_endpoint:
        # The postgresql provider assumes the role itself, and knows no endpoint.
        mistakes.append("awsEndpoint: stands beside iamAuthentication and awsRole; set AWS_ENDPOINT_URL_STS instead")
    if settings.secret_prefix and not settings.publish_credentials:
        mistakes.append("secretPrefix: is set, and publishCredentials is not; for example publishCredentials: true")
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
    if settings.on_destroy == "drop" and not settings.destroy_confirmation:
        mistakes.append("onDestroy: is drop, and production keeps its databases; for example keep")
    if settings.ssl_mode not in ENCRYPTING_MODES:
        mistakes.append(f"sslMode: is {settings.ssl_mode}, and production asks for TLS; for example verify-full")
    return mistakes


def _promotion_mistakes(source: str, reason: str) -> list[str]:
    """Return what is wrong with the source of promotions or the reason of an override."""
    if source and not re.fullmatch(r"[\w.-]+|[\w.-]+/[\w.-]+/[\w.-]+", source):
        return ["promoteFrom: is neither a stack's name nor organization/project/stack; for example dev"]
    if reason and not source:
        return ["promotionOverride: overrides nothing, since there is no promoteFrom; remove it"]
    if reason != reason.strip() or not reason.isprintable() or len(reason) > REASON_LENGTH:
        example = "for example incident 42: index for the inbox"
        return [f"promotionOverride: is no line of at most {REASON_LENGTH} characters; {example}"]
    return []
