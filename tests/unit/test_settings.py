"""A stack's settings: what is accepted, and every mistake at once with its key and an example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import products, settings
from infra.aws import Access
from infra.errors import SettingsError
from infra.products import PROJECT_ROOT

SERVER = {
    "chatdb:host": "db.example.com",
    "chatdb:username": "admin",
    "chatdb:password": "hunter2",
}
SECRET = ("chatdb:password",)
ROLE = "arn:aws:iam::123456789012:role/chatdb"


def load(**changes: str) -> settings.StackSettings:
    config = {**SERVER, **{f"chatdb:{key}": value for key, value in changes.items()}}
    return settings.load(config, stack="test", secret_keys=SECRET)


def mistakes(config: dict[str, Any], secret_keys: tuple[str, ...] = SECRET) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings.load(config, stack="test", secret_keys=secret_keys)
    return [line.strip() for line in caught.value.detail.splitlines() if line.strip()]


def test_a_server_is_enough_and_the_defaults_are_the_careful_ones() -> None:
    """With nothing but a server: all products, TLS, no stand-ins, databases kept."""
    loaded = load()
    assert loaded.products == tuple(products.names())
    assert (loaded.ssl_mode, loaded.stand_ins, loaded.on_destroy) == ("require", False, "keep")


def test_values_arrive_as_text_and_become_what_the_key_says() -> None:
    """Pulumi hands over every value as a string, lists as JSON."""
    loaded = load(port="6432", standIns="true", products='["lyra", "robotics"]', appConnectionLimit="-1")
    assert (loaded.port, loaded.stand_ins, loaded.products) == (6432, True, ("lyra", "robotics"))
    assert loaded.app_connection_limit == -1


def test_a_secret_does_not_show_in_the_settings_text() -> None:
    """The password is not in `repr`, so no log of the settings holds it."""
    assert "hunter2" not in repr(load())


def test_every_mistake_is_reported_in_one_go() -> None:
    """Malformed values, unknown keys, missing keys and contradictions come together, each with its key."""
    found = mistakes(
        {
            "chatdb:prot": "5432",
            "chatdb:port": "70000",
            "chatdb:products": '["lyraa"]',
            "chatdb:production": "true",
            "chatdb:standIns": "true",
            "chatdb:onDestroy": "drop",
            "chatdb:sslMode": "disable",
        }
    )
    keys = sorted(line.split(":")[1] for line in found)
    assert keys == sorted(
        ["prot", "port", "products", "standIns", "onDestroy", "sslMode", "host", "username", "password"]
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"products": '["lyraa"]'},
            "chatdb:products: there is no product 'lyraa'; did you mean lyra; "
            "known: futureguide, insights, lyra, robotics, storefront",
            id="unknown product",
        ),
        pytest.param(
            {"products": "[]"},
            'chatdb:products: names no product; for example ["futureguide", "insights"]',
            id="no product",
        ),
        pytest.param(
            {"products": '["lyra", "lyra"]'},
            "chatdb:products: names a product twice; name each once",
            id="product twice",
        ),
        pytest.param({"hots": "x"}, "chatdb:hots: there is no such key; did you mean host?", id="unknown key"),
        pytest.param(
            {"serverFile": "x.json", "password": ""},
            "chatdb:host: stands beside serverFile; keep one of the two",
            id="two servers",
        ),
        pytest.param(
            {"serverFile": "x.json", "host": ""},
            "chatdb:password: stands beside serverFile; keep one of the two",
            id="password beside a server file",
        ),
        pytest.param(
            {"adminSecret": "prod/admin"},
            "chatdb:adminSecret: stands beside password; keep one of the two",
            id="password and secret",
        ),
        pytest.param(
            {"adminSecret": "prod/admin", "iamAuthentication": "true", "password": ""},
            "chatdb:iamAuthentication: stands beside adminSecret; keep one of the two",
            id="secret and tokens",
        ),
        pytest.param(
            {"iamAuthentication": "true", "password": "", "sslMode": "prefer"},
            "chatdb:sslMode: is prefer, and a token goes over TLS alone; for example verify-full",
            id="tokens without TLS",
        ),
        pytest.param(
            {"iamAuthentication": "true", "password": "", "awsRole": ROLE, "awsEndpoint": "https://x.example.com"},
            "chatdb:awsEndpoint: stands beside iamAuthentication and awsRole; set AWS_ENDPOINT_URL_STS instead",
            id="endpoint the provider does not know",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"app": "Lyra-Service"}}'},
            "chatdb:roleNames: lyra.app: string should match pattern '^[a-z_][a-z0-9_]*$'; "
            'for example {"lyra": {"app": "lyra_service"}}',
            id="role that is no plain identifier",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"clerk": "x"}}'},
            "chatdb:roleNames: lyra.clerk: string should match pattern '^(owner|migrator|app|readonly|analytics)$'; "
            'for example {"lyra": {"app": "lyra_service"}}',
            id="kind of role there is not",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"analytics": "x"}}'},
            "chatdb:roleNames: lyra.analytics: there is no such role; there are owner, migrator, app, readonly",
            id="role that the product has not",
        ),
        pytest.param(
            {"roleNames": '{"lyraa": {"app": "x"}}'},
            "chatdb:roleNames: there is no product 'lyraa'; known: futureguide, insights, lyra, robotics, storefront",
            id="roles of no product",
        ),
        pytest.param(
            {"roleNames": '{"futureguide": {"app": "guide"}}'},
            "chatdb:roleNames: futureguide.app: is guide, and the product's migrations name fg_user; leave it out",
            id="role that migrations name",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"app": "pg_lyra"}}'},
            "chatdb:roleNames: lyra.app: pg_lyra is PostgreSQL's own; for example lyra_app",
            id="reserved role",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"readonly": "robotics_migrator"}}'},
            "chatdb:roleNames: robotics_migrator would be lyra.readonly and robotics.migrator; "
            "give each a name of its own",
            id="role of two products",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"app": "chat", "readonly": "chat_b"}}'},
            "chatdb:roleNames: chat_b would be lyra.readonly and the second login of lyra.app; "
            "give each a name of its own",
            id="role that is a second login",
        ),
        pytest.param(
            {"roleNames": '{"lyra": {"app": "admin"}}'},
            "chatdb:roleNames: admin would be the administrator and lyra.app; give each a name of its own",
            id="role that is the administrator",
        ),
        pytest.param(
            {"secretPrefix": "chat/prod"},
            "chatdb:secretPrefix: is set, and publishCredentials is not; for example publishCredentials: true",
            id="prefix of nothing",
        ),
        pytest.param(
            {"awsRole": "chatdb"},
            "chatdb:awsRole: string should match pattern "
            "'^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+)?$'; "
            "for example arn:aws:iam::123456789012:role/chatdb",
            id="role that is no ARN",
        ),
        pytest.param(
            {"secretRecoveryDays": "3"},
            "chatdb:secretRecoveryDays: input should be greater than or equal to 7; for example 30",
            id="recovery window AWS does not take",
        ),
        pytest.param(
            {"sslMode": "verify-full"},
            "chatdb:sslRootCert: is missing for sslMode verify-full; for example certs/rds-ca.pem",
            id="verify without CA",
        ),
        pytest.param(
            {"production": "true", "standIns": "true"},
            "chatdb:standIns: is true, and production never makes stand-ins; for example false",
            id="stand-ins in production",
        ),
        pytest.param(
            {"production": "true", "onDestroy": "drop"},
            "chatdb:onDestroy: is drop, and production keeps its databases; for example keep",
            id="drop in production",
        ),
        pytest.param(
            {"production": "true", "sslMode": "prefer"},
            "chatdb:sslMode: is prefer, and production asks for TLS; for example verify-full",
            id="production without TLS",
        ),
        pytest.param(
            {"promoteFrom": "test"},
            "chatdb:promoteFrom: names this stack itself; for example dev",
            id="promotion from itself",
        ),
        pytest.param(
            {"promoteFrom": "org/dev"},
            "chatdb:promoteFrom: is neither a stack's name nor organization/project/stack; for example dev",
            id="promotion from a name in two parts",
        ),
        pytest.param(
            {"promotionOverride": "incident 42"},
            "chatdb:promotionOverride: overrides nothing, since there is no promoteFrom; remove it",
            id="override of no gate",
        ),
        pytest.param(
            {"promoteFrom": "dev", "promotionOverride": "one\x1ftwo"},
            "chatdb:promotionOverride: is no line of at most 200 characters; "
            "for example incident 42: index for the inbox",
            id="reason with a control character",
        ),
        pytest.param(
            {"promoteFrom": "dev", "promotionOverride": "x" * 201},
            "chatdb:promotionOverride: is no line of at most 200 characters; "
            "for example incident 42: index for the inbox",
            id="reason too long",
        ),
    ],
)
def test_a_mistake_names_its_key_what_is_wrong_and_what_would_do(changes: dict[str, str], expected: str) -> None:
    """One mistake, one line."""
    assert mistakes({**SERVER, **{f"chatdb:{key}": value for key, value in changes.items()}}) == [expected]


def test_a_password_in_plain_text_is_refused_without_showing_it() -> None:
    """A password that is not encrypted in the stack file is a mistake, and the message does not repeat it."""
    (line,) = mistakes(SERVER, secret_keys=())
    assert line == "chatdb:password: stands in plain text; set it with `chatdb config set --secret chatdb:password`"


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"adminSecret": "prod/admin", "password": "", "host": "", "username": ""}, []),
        ({"iamAuthentication": "true", "password": ""}, []),
        ({"password": ""}, ["password"]),
        ({"iamAuthentication": "true", "password": "", "host": "", "username": ""}, ["host", "username"]),
    ],
)
def test_a_secret_of_aws_brings_all_that_is_left_out_and_tokens_the_password(
    changes: dict[str, str], lacking: list[str]
) -> None:
    if not lacking:
        load(**changes)
        return
    found = mistakes({**SERVER, **{f"chatdb:{key}": value for key, value in changes.items()}})
    assert [line.split(":")[1] for line in found] == lacking


def test_how_aws_is_reached_comes_from_four_keys() -> None:
    """Each empty one is left to the usual environment of AWS."""
    loaded = load(awsRegion="eu-central-1", awsProfile="prod", awsRole=ROLE, awsEndpoint="https://vpce.example.com")
    assert loaded.aws == Access(region="eu-central-1", profile="prod", role=ROLE, endpoint="https://vpce.example.com")
    assert load().aws == Access()


def test_keys_of_other_namespaces_are_left_alone() -> None:
    """`aws:region` is none of ours."""
    assert (
        settings.load({**SERVER, "aws:region": "eu-west-1"}, stack="test", secret_keys=SECRET).host == "db.example.com"
    )


def project_keys() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text())["config"]
    return loaded


def test_pulumi_yaml_declares_exactly_the_keys_of_the_model() -> None:
    """Each key stands in Pulumi.yaml with the model's description and default."""
    fields = {field.alias: field for field in settings.StackSettings.model_fields.values()}
    declared = project_keys()
    assert set(declared) == set(fields)
    for key, entry in declared.items():
        assert entry["description"] == fields[key].description
        if key not in ("products", "password"):
            assert entry["default"] == fields[key].default
    assert declared["products"]["default"] == products.names()


@pytest.mark.parametrize("file", sorted(PROJECT_ROOT.glob("Pulumi.*.yaml")), ids=lambda file: file.name)
def test_the_stack_files_of_the_repository_use_known_keys_only(file: Path) -> None:
    """What dev and prod lack is a server at most."""
    values = yaml.safe_load(file.read_text())["config"]
    config = {key: str(value).lower() if isinstance(value, bool) else value for key, value in values.items()}
    try:
        settings.load(config, stack=file.stem, secret_keys=SECRET)
    except SettingsError as error:
        keys = [line.split(":")[1] for line in error.detail.splitlines() if line.strip()]
        assert keys == ["host", "username", "password"]
