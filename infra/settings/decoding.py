"""Decode what Pulumi hands over as text. Pure; part of `infra.settings.model`."""

from __future__ import annotations

import json
from typing import Any


def from_json(value: Any) -> Any:
    """Decode a list or map as Pulumi hands it over: JSON in a string; what is none stays, for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
