from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tokens import TokenError, Tokens


def test_without_any_there_are_none() -> None:
    assert not Tokens()
    assert not Tokens(" , ")
    assert Tokens().holder("") is None


def test_several_from_the_environment_and_a_file_each_with_a_name(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may come\n\nada: first-secret  # until May\nsecond-secret\n")
    tokens = Tokens("third-secret,bob:fourth-secret", file)
    names = {secret: tokens.holder(f"{secret}-secret") for secret in ("first", "second", "third", "fourth", "fifth")}
    assert names == {"first": "ada", "second": "token-4", "third": "token-1", "fourth": "bob", "fifth": None}


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("old")
    tokens = Tokens(file=file)
    file.write_text("new")
    assert tokens.holder("new") is None
    tokens.reload()
    assert (tokens.holder("new"), tokens.holder("old")) == ("token-1", None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("good-secret\nbad secret\n", "line 2"),
        ("ada: secret-1\nada: secret-2", "line 2"),
        ("secret-1\nsecret-1", "line 2"),
        ("# nothing but a comment", "lists no token"),
        ("clé-secret", "line 1"),
        (b"\xff\xfe-secret", "not UTF-8"),
        (None, "No such file"),
    ],
)
def test_what_is_wrong_is_named_and_no_token_shown(tmp_path: Path, content: str | bytes | None, says: str) -> None:
    file = tmp_path / "tokens"
    file.write_text("kept")
    tokens = Tokens(file=file)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TokenError, match=says) as error:
        tokens.reload()
    assert str(file) in str(error.value)
    assert "secret" not in str(error.value)
    assert tokens.holder("kept") == "token-1"


@given(st.text())
def test_nothing_else_is_good(shown: str) -> None:
    assert Tokens("the-secret").holder(shown) == ("token-1" if shown == "the-secret" else None)


@given(st.text())
def test_any_list_is_understood_or_refused(listed: str) -> None:
    with suppress(TokenError):
        assert len(Tokens(listed)) <= listed.count(",") + 1
