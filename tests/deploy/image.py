"""The Containerfile, read: its stages, their instructions, and the environment of the image."""

import os
import re
from pathlib import Path

from tests.proxies import DEPLOY

FILE = DEPLOY / "container" / "Containerfile"
IMAGE_HOME = "/opt/session-export"


def instructions() -> list[tuple[str, str]]:
    """Of the Containerfile: each word with what follows it, without comments, lines joined."""
    lines = "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(word, rest) for line in joined.splitlines() if line for word, _, rest in [line.partition(" ")]]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def of(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def environment(home: Path, directory: Path) -> dict[str, str]:
    """The image's ENV, with its places moved below the directory."""
    text = " ".join(of(stages()[1], "ENV"))
    image = dict(pair.split("=", 1) for pair in text.split())
    moved = {name: re.sub(r"^/(srv|var)", rf"{directory}/\1", value) for name, value in image.items()}
    return moved | {"PATH": os.environ["PATH"]}
