"""Write findings as SARIF 2.1.0, which code scanning reads. Pure.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from infra.audit.model import Finding, Rule, Unchecked
from infra.version import VERSION

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# What code scanning sorts by, as a CVSS-like number.
SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}


def document(rules: Sequence[Rule], findings: Sequence[Finding], unchecked: Sequence[Unchecked]) -> dict[str, Any]:
    """Return one run as SARIF's JSON.

    Args:
        rules: Every rule of the baseline, kept ones included.
        findings: Where rules are broken.
        unchecked: Rules that could not be asked: notifications, not results.
    """
    places = {rule.id: place for place, rule in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "chatdb audit", "version": VERSION, "rules": [_rule(rule) for rule in rules]}
                },
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notification(one, places) for one in unchecked],
                    }
                ],
                "results": [_result(finding, places) for finding in findings],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}. {rule.why}"},
        "help": {"text": f"{rule.why} Source: {rule.source}."},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"security-severity": SCORES[rule.severity], "tags": ["security", "database"]},
    }


def _result(finding: Finding, places: dict[str, int]) -> dict[str, Any]:
    where = f"{finding.product}: {finding.object}" if finding.product else finding.object
    # A database has no lines: the product's folder is where its mend belongs.
    file = f"schema/{finding.product}/product.toml" if finding.product else "Pulumi.yaml"
    same = hashlib.sha256("\n".join((finding.rule.id, finding.product, finding.object)).encode()).hexdigest()
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": places[finding.rule.id],
        "level": LEVELS[finding.rule.severity],
        "message": {"text": f"{where}: {finding.detail}. {finding.rule.why} Mend: {finding.mend}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
                "logicalLocations": [{"fullyQualifiedName": where, "name": finding.object}],
            }
        ],
        "partialFingerprints": {"chatdb/v1": same},
    }


def _notification(unchecked: Unchecked, places: dict[str, int]) -> dict[str, Any]:
    rule = unchecked.rule
    return {
        "descriptor": {"id": rule.id, "index": places[rule.id]},
        "level": "note",
        "message": {"text": f"{unchecked.product}: not checked: {unchecked.reason}"},
    }
