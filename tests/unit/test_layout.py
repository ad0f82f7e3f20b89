"""The layout: one direction of imports, and a program that knows nothing of the embedded engine."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

from infra.products import PROJECT_ROOT


def test_imports_point_one_way() -> None:
    """From cli over embedded to infra, and inside infra from components down to errors, as pyproject.toml says."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_program_imports_nothing_of_the_engine() -> None:
    """`__main__.py` runs unmodified on the Pulumi CLI: it imports pulumi and infra only."""
    tree = ast.parse((PROJECT_ROOT / "__main__.py").read_text(encoding="utf-8"))
    roots = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    roots |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots == {"pulumi", "infra"}


def test_the_picture_is_what_the_snapshots_say() -> None:
    """docs/databases.svg is drawn anew by `python -m docs.draw`; the committed one is that."""
    from docs.draw import PICTURE, draw

    assert PICTURE.read_text(encoding="utf-8") == draw()


def test_the_reference_of_the_settings_is_what_the_model_says() -> None:
    """docs/settings.md is written anew by `python -m docs.settings`; the committed one is that, with every key."""
    from docs.settings import PAGE, page
    from infra.settings import StackSettings

    text = page()
    assert PAGE.read_text(encoding="utf-8") == text
    for name, field in StackSettings.model_fields.items():
        assert text.count(f"| `chatdb:{field.alias or name}` |") == 1


LAYOUT_TOKENS = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def lines_of_code(text: str) -> int:
    """Return how many lines of a module hold code: neither blank nor a comment nor of a docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = {
        line for token in tokens if token.type not in LAYOUT_TOKENS for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            held -= {*range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}
    return len(held)


def test_the_embedded_engine_stays_small() -> None:
    """With its providers under 1,500 lines of code: it does what this program needs, and no more."""
    assert lines_of_code('"""A module."""\n\n# A comment.\ndef one() -> int:\n    """One."""\n    return 1\n') == 2
    modules = sorted((PROJECT_ROOT / "embedded" / "engine").rglob("*.py"))
    assert len(modules) > 10
    assert sum(lines_of_code(module.read_text(encoding="utf-8")) for module in modules) < 1500
