"""Write docs/settings.md, the reference of every setting, from the model that checks them: `python -m docs.settings`.

A test keeps the committed page equal. The order is that of the models in `infra.settings`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from infra import products
from infra.settings import NAMESPACE, StackSettings

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Every setting of a stack, as `chatdb config set --stack NAME {namespace}:KEY VALUE` writes it into `Pulumi.NAME.yaml`. All mistakes are reported at once,
each with its key, what is wrong and a valid example. This page is generated from the model that checks them (`python -m docs.settings`).
"""


def page() -> str:
    """Return the page."""
    properties: dict[str, dict[str, Any]] = StackSettings.model_json_schema(by_alias=True)["properties"]
    parts = [HEAD.format(namespace=NAMESPACE)]
    told: set[str] = set()
    # Each mixin has the keys of one subject; the model's own come first.
    subjects = [one for one in StackSettings.__mro__ if issubclass(one, BaseModel) and one is not BaseModel]
    for subject in subjects:
        own = [key for key in _keys(subject) if key not in told and (subject is not StackSettings or key in _own())]
        told.update(own)
        if own:
            parts.append(f"\n## {_title(subject)}\n\n| key | values | default | what it says |\n|---|---|---|---|\n")
            parts.extend(_row(key, properties[key]) for key in own)
    return "".join(parts)


def _keys(subject: type[BaseModel]) -> list[str]:
    """Return the keys of a subject as a stack file has them."""
    aliases = {name: field.alias or name for name, field in StackSettings.model_fields.items()}
    return [aliases[name] for name in subject.model_fields]


def _own() -> set[str]:
    """Return the keys that StackSettings declares itself."""
    inherited = {
        key
        for one in StackSettings.__mro__[1:]
        if one is not BaseModel and issubclass(one, BaseModel)
        for key in _keys(one)
    }
    return set(_keys(StackSettings)) - inherited


def _title(subject: type[BaseModel]) -> str:
    return (subject.__doc__ or "").strip().split("\n")[0].rstrip(".")


def _row(key: str, found: dict[str, Any]) -> str:
    example = (found.get("examples") or [""])[0]
    said = found["description"] + (f" Example: `{example}`." if example and found.get("type") == "string" else "")
    return f"| `{NAMESPACE}:{key}` | {_values(found)} | {_default(key, found)} | {_cell(said)} |\n"


def _values(found: dict[str, Any]) -> str:
    """Return what a key takes: its words, its range, or its type."""
    if "enum" in found:
        return ", ".join(f"`{word}`" for word in found["enum"])
    if "minimum" in found and "maximum" in found:
        return f"{found['minimum']} to {found['maximum']}"
    return {"boolean": "`true`, `false`", "array": "a list", "object": "a map", "string": "text"}[found["type"]]


def _default(key: str, found: dict[str, Any]) -> str:
    if key == "products":
        return f"all: {', '.join(products.names())}"
    value = found["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value != "" else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
