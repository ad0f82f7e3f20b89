"""Errors: their parts, their text, and what they say by themselves."""

from __future__ import annotations

import pytest

from cli.console import print_error
from infra.errors import RefusedError, SettingsError, from_text

TEXTS = {
    "one part": ("a", ("a", "", "", "")),
    "all parts": ("a\nb\nDETAIL: c\nd\nHINT: e\nSTATE: f", ("a\nb", "c\nd", "e", "f")),
    "some": ("a\nHINT: e", ("a", "", "e", "")),
}


@pytest.mark.parametrize(("text", "parts"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_read_back_into_parts(text: str, parts: tuple[str, ...]) -> None:
    """The text of an error of ours and its parts are the same thing."""
    error = from_text(text)
    assert (error.message, error.detail, error.hint, error.state) == parts
    assert str(error) == text


@pytest.mark.parametrize("kind", [RefusedError, SettingsError])
def test_what_is_refused_says_that_nothing_was_changed(kind: type[RefusedError]) -> None:
    """The state of things stands in the text unless the place that refuses has more to say of it."""
    assert str(kind("no", hint="Ask.")) == "no\nHINT: Ask.\nSTATE: Nothing was changed."
    assert str(kind("no", state="A file was read.")) == "no\nSTATE: A file was read."


def test_a_name_in_an_error_does_not_reach_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may create a table names it; ESC would colour or move the terminal. Lines stay lines."""
    print_error(RefusedError("no \x1b[2J", detail="1 difference\n  table t\x1b]0;x\x07 is missing, é …"))
    assert capsys.readouterr().err == (
        "no \\x1b[2J\nDETAIL: 1 difference\n  table t\\x1b]0;x\\x07 is missing, é …\nSTATE: Nothing was changed.\n"
    )


def test_a_server_s_own_words_stay_as_they_are_in_any_language(capsys: pytest.CaptureFixture[str]) -> None:
    """A French one writes no-break spaces within its quotation marks, which Python counts as not printable."""
    words = "la relation «\u00a0users\u00a0» n'existe pas; 全角\u3000空白"
    print_error(RefusedError(words))
    assert capsys.readouterr().err == f"{words}\nSTATE: Nothing was changed.\n"
