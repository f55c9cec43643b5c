"""Which bytes a codec makes on this machine.

Deflate does not say it: igzip makes others on a processor without SSE4.2, and others again on ARM; zlib-ng others from
release to release, some of the same length. So a plan's tag and all remembered figures have the digest of what the
codec makes of a sample, here and now. Replicas with different dialects never continue each other's archives.
"""

import hashlib
import random

from service.archive.codec import BLOCK, CODECS, Compression

FORMAT = 1  # of framing, manifest and figures; raise it when archives of the same files become other bytes
DIGEST = 8  # bytes


def dialect_of(compression: Compression) -> bytes:
    """Takes some milliseconds."""
    codec = CODECS[compression]
    digest = hashlib.sha256(repr((FORMAT, compression.value, BLOCK)).encode())
    for text in _samples():
        digest.update(codec.deflate(text, b"", False))
        digest.update(codec.deflate(text, text[: codec.window], True))
    return digest.digest()[:DIGEST]


def _samples() -> list[bytes]:
    """Texts on which codecs were seen to differ: of words, of few letters, of one letter, random, tiny and empty."""
    chance = random.Random(0)  # noqa: S311 - the same texts everywhere, not secrets
    words = [chance.randbytes(chance.randrange(2, 12)).hex().encode() for _ in range(300)]
    few = bytes(chance.choices(b"abcd", k=20_000))
    return [b" ".join(chance.choices(words, k=5_000)), few, bytes(70_000), chance.randbytes(70_000), b"{}\n", b""]
