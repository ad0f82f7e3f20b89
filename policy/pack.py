"""The rules of `infra.policy` as policies of the Pulumi CLI. Called by `policy.__main__`.

The CLI hands secrets over in plain to a validation, but marked to a remediation. So the rule on secrets is a
remediation here: what should be a secret is made one, and the CLI says so; on the embedded engine it stops.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Secret,
)
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, serialize_properties
from pulumi_policy.proxy import UnknownValueError

from infra.policy.model import Resource, Rule, Stack, Violation
from infra.policy.rules import RULES, secrets_of

NAME = "chatdb"
REMEDIATED = "secrets-are-secret"


def policies() -> list[Policy]:
    """Return every rule as a policy."""
    return [_remediation(rule) if rule.name == REMEDIATED else _validation(rule) for rule in RULES]


def _validation(rule: Rule) -> Policy:
    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        resource = _resource(args)
        for finding in rule.check(resource, _stack()):
            report_violation(str(Violation(rule, resource, finding)), None)

    level = EnforcementLevel.MANDATORY if rule.level == "mandatory" else EnforcementLevel.ADVISORY
    return ResourceValidationPolicy(rule.name, rule.reason, validate, level)


def _remediation(rule: Rule) -> Policy:
    async def remediate(args: ResourceValidationArgs) -> Any:
        wire = serialize_properties(args.props)
        secret = frozenset(key for key, value in wire.items() if _is_secret(value))
        resource = _resource(args)._replace(secret=secret)
        if not list(rule.check(resource, _stack())):
            return None
        marked = {*secret, *secrets_of(resource)}
        return {key: Secret(args.props[key]) if key in marked else args.props[key] for key in args.props}

    return ResourceValidationPolicy(
        rule.name, rule.reason, enforcement_level=EnforcementLevel.REMEDIATE, remediate=remediate
    )


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG


def _stack() -> Stack:
    """Return the stack as its configuration, which the CLI hands to the pack, marks it."""
    config = pulumi.Config("chatdb")
    name = os.environ.get("PULUMI_STACK", "")
    return Stack(name, bool(config.get_bool("production")), config.get("destroyConfirmation") or "")


def _resource(args: ResourceValidationArgs) -> Resource:
    ignored = frozenset(args.opts.ignore_changes or ())
    return Resource(args.resource_type, args.name, _known(args.props), None, bool(args.opts.protect), ignored)


def _known(value: Any) -> Any:
    """Return properties as plain data without what a preview does not know."""
    if isinstance(value, Mapping):
        found = {}
        for key in value:
            try:
                found[key] = _known(value[key])
            except UnknownValueError:
                continue
        return found
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value[index]) for index in range(len(value))]
    return value
