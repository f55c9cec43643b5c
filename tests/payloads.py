"""Paths that lead elsewhere, in the many ways that have led elsewhere. `NAME` stands for what they are after."""

from collections.abc import Callable
from urllib.parse import quote

NAME = "canaryfile"  # is there
OTHER = "absentfile"  # is nowhere; as long, so that answers can be compared

TARGETS = [
    "../NAME.jsonl",
    "../../NAME.jsonl",
    "../NAME/NAME.jsonl",
    "../../NAME/NAME.jsonl",
    "alice/../NAME.jsonl",
    "alice/../NAME/NAME.jsonl",
    "....//NAME/NAME.jsonl",
    "..;/NAME/NAME.jsonl",
    "../NAME",
    "NAME/NAME.jsonl",
    "NAME/..",
    "NAME/../alice",
    "/NAME.jsonl",
]


def written(separator: str, dot: str) -> Callable[[str], str]:
    return lambda text: text.replace(".", dot).replace("/", separator)


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" if chr(byte) in "./\\~%" else chr(byte) for byte in text.encode())


# What the target looks like once it has arrived, for places that are not in a URL.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "Windows": written("\\", "."),
    "Windows, drive": lambda text: "C:\\" + text.replace("/", "\\"),
    "Windows, share": lambda text: "\\\\?\\" + text.replace("/", "\\"),
    "percent": percent,
    "percent twice": lambda text: percent(percent(text)),
    "IIS": written("%u002f", "%u002e"),
    "UTF-7": written("+AC8-", "+AC4-"),
    "fullwidth": written("\uff0f", "\uff0e"),
    "division slash, one dot leader": written("\u2215", "\u2024"),
    "fraction slash": written("\u2044", "."),
    "two dot leader": lambda text: text.replace("..", "\u2025"),
    "NUL at the end": lambda text: text + "\0",
    "NUL and a good suffix": lambda text: text + "\0.jsonl",
    "NUL in front": lambda text: "\0" + text,
    "newline at the end": lambda text: text + "\n",
    "CR LF and a header": lambda text: text + "\r\nX-Injected: 1",
    "backspaces": lambda text: "x\b" + text,
    "escape sequence": lambda text: "\x1b[2K" + text,
    "space at the end": lambda text: text + " ",
    "dot at the end": lambda text: text + "/.",
    "right to left": lambda text: "\u202e" + text,
    "zero width": written("\u200b/", "\u200b."),
    "soft hyphen": written("/", "\u00ad."),
    "very long": lambda text: "../" * 1000 + text,
}
# How it can stand in a URL besides: bytes that are no UTF-8, or encoded once more.
IN_A_URL: dict[str, Callable[[str], str]] = {
    "in capitals": lambda text: percent(text).replace("%2e", "%2E").replace("%2f", "%2F"),
    "three times": lambda text: percent(percent(percent(text))),
    "overlong, two bytes": written("%c0%af", "%c0%ae"),
    "overlong, three bytes": written("%e0%80%af", "%e0%80%ae"),
    "overlong, four bytes": written("%f0%80%80%af", "%f0%80%80%ae"),
    "a wrong second byte": written("%c0%2f", "%c0%2e"),
    "surrogates": written("%ed%a0%af", "."),
    "half an escape": written("%2", "."),
    "no hex": written("%2g", "%zz"),
    "parameters": lambda text: text.replace("/", ";x=1/"),
    "a query": lambda text: text + "?" + text,
    "a fragment": lambda text: text + "#" + text,
}


def arrived() -> list[str]:
    """As strings, for the catalog, the disk and the configuration."""
    return list(dict.fromkeys(spell(target) for target in TARGETS for spell in SPELLINGS.values()))


def in_a_url() -> list[str]:
    """As they stand in a request line. Separators of the target may be separators of the URL."""
    encoded = [write(target) for target in TARGETS for write in IN_A_URL.values()]
    return list(dict.fromkeys([*TARGETS, *(quote(text, safe="") for text in arrived()), *encoded]))
