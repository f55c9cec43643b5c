"""Which directories of the session root belong to a user."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.layout import checked_layout, user_directories

LAYOUTS = ("{email_local}", "{user_id}")


@given(st.text(), st.text())
def test_a_users_directory_is_always_one_plain_name(user_id: str, email: str) -> None:
    for name in user_directories((*LAYOUTS, "{email}", "x-{email_local}"), user_id, email):
        assert name not in ("", ".", "..")
        assert not set(name) & {"/", "\\", "\0", "\n"}
        assert Path("root", name).resolve().parent == Path("root").resolve()


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        ("u", "alice@example.com", ("alice", "u")),
        ("u", "a@b@example.com", ("a@b", "u")),
        ("u", "dave", ("dave", "u")),
        ("u", "", ("u",)),
        ("u", "@x", ("u",)),
        ("u", "..@x", ("u",)),
        ("u", ".@x", ("u",)),
        ("u", "a/b@x", ("u",)),
        ("..", "../../etc@x", ()),
        ("u\0", "a\x1fb@x", ()),
        ("same", "same@x", ("same",)),
    ],
)
def test_layouts(user_id: str, email: str, expected: tuple[str, ...]) -> None:
    assert user_directories(LAYOUTS, user_id, email) == expected


def test_a_layout_with_more_around_an_empty_value_is_no_directory() -> None:
    """Otherwise all users without a local part would share `x-`."""
    assert user_directories(("x-{email_local}",), "u", "@x") == ()


@pytest.mark.parametrize(
    "template", ["", "all", "{email_local}/x", "../{user_id}", "{name}", "{user_id", "{user_id!r}"]
)
def test_a_layout_that_is_not_one_directory_for_each_user_is_rejected(template: str) -> None:
    with pytest.raises(ValueError, match="a directory name with"):
        checked_layout(template)
