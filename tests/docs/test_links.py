"""Every link of every document leads somewhere: to a file that is there, and to a heading that it has."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import TOP
from tests.docs.pages import ALL, PAGES, README, name

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """Without indented blocks and without what is in backticks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", path.read_text(), flags=re.MULTILINE))


def anchors(path: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    for target in LINK.findall(prose(path)):
        if not target.startswith(("http://", "https://")):
            file, _, anchor = target.partition("#")
            yield (path.parent / file).resolve() if file else path, anchor


@pytest.mark.parametrize("path", ALL, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target, anchor in links(path):
        assert target.exists(), target
        assert target.is_relative_to(TOP)
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    assert {target for target, _ in links(README)} >= set(PAGES) - {README}


def test_the_check_would_find_a_wrong_link(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One `two`, three\n[x](b.md#there) [y](#one-two-three) `[z](c.md)`\n")
    assert list(links(tmp_path / "a.md")) == [(tmp_path / "b.md", "there"), (tmp_path / "a.md", "one-two-three")]
    assert anchors(tmp_path / "a.md") == {"one-two-three"}
