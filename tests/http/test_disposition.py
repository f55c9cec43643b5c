from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from hypothesis import example, given
from hypothesis import strategies as st

from service.http.disposition import attachment


@given(st.text(max_size=50))
@example('a"; filename=evil.exe; x="')
@example("a\r\nX-Evil: 1")
@example("ünïcode 😀")
def test_a_name_comes_back_whole_and_nothing_else_gets_in(name: str) -> None:
    value = attachment(name)
    assert value.isascii()
    assert value.isprintable()
    quoted = value.split('"')
    assert len(quoted) == 3, "no quote of the name's own"
    assert "\\" not in value
    kind, parameters = parse_content_disposition(value)
    assert kind == "attachment"
    assert content_disposition_filename(parameters) == name.encode("utf-8", "replace").decode()


def test_a_plain_name_needs_no_second_form() -> None:
    assert attachment("alice-sessions-2026-05-10.zip") == 'attachment; filename="alice-sessions-2026-05-10.zip"'


def test_other_names_have_a_fallback() -> None:
    assert attachment("zoë.zip") == "attachment; filename=\"zo_.zip\"; filename*=UTF-8''zo%C3%AB.zip"


def test_a_name_that_no_file_system_would_hold_loses_its_middle() -> None:
    for letter in ("a", "ü", "😀"):
        value = attachment(f"{letter * 100_000}-sessions-2026-05-10.zip")
        assert len(value) < 2000
        name = content_disposition_filename(parse_content_disposition(value)[1])
        assert name is not None
        assert name.startswith(letter * 50)
        assert name.endswith(f"{letter}-sessions-2026-05-10.zip")
        assert len(name.encode()) <= 255
    longest = f"{'x' * 249}.jsonl"
    assert attachment(longest) == f'attachment; filename="{longest}"'
