import base64

from hypothesis import given
from hypothesis import strategies as st

from service.http.links import Link, Links

SECRET = b"a secret of thirty-two characters"
LINK = Link("id", "/api/admin/users/u-1/sessions/download-all?since=2026-11-01", "admin1", 1000)


def links(now: float = 999, secret: bytes = SECRET) -> Links:
    return Links(secret, clock=lambda: now)


TOKEN = links().token(LINK)


@given(st.builds(Link, st.text(), st.text(), st.text(), st.integers(1000, 2**40)))
def test_a_link_comes_back_from_its_token(link: Link) -> None:
    assert links().read(links().token(link)) == link


def test_a_link_is_good_until_its_end_and_not_a_moment_longer() -> None:
    assert links(999.999).read(TOKEN) == LINK
    assert links(1000).read(TOKEN) is None


def test_a_link_of_another_secret_is_none() -> None:
    assert links(secret=SECRET[::-1]).read(TOKEN) is None


def test_a_token_changed_by_one_bit_is_none() -> None:
    data = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert links().read(base64.urlsafe_b64encode(changed).rstrip(b"=").decode()) is None


def test_a_token_spelled_otherwise_is_none() -> None:
    """Each character replaced: base64 ignores the last bits of the last one, and Python what is no character of it."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n"
    for at in (0, 1, len(TOKEN) // 2, len(TOKEN) - 1):
        for character in alphabet:
            other = TOKEN[:at] + character + TOKEN[at + 1 :]
            assert other == TOKEN or links().read(other) is None, other
            assert links().read(TOKEN[:at] + character + TOKEN[at:]) is None


@given(st.text(st.characters(codec="ascii")))
def test_no_other_text_is_a_token(text: str) -> None:
    assert links().read(text) is None


def test_a_long_path_of_names_makes_a_token_that_is_not_much_longer() -> None:
    """So that the link of a selection passes wherever the selection itself does."""
    names = "&".join(f"session_file={n:032x}.jsonl" for n in range(80))
    path = f"/api/admin/users/u-1/sessions/download-all?{names}"
    assert len(links().token(Link("id", path, "admin1", 1000))) < len(path)
