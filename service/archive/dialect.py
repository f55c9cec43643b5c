"""The dialect of a codec: a digest that identifies the compressed bytes it produces on this machine.

The deflate format does not determine them: igzip's output depends on the processor (SSE4.2, ARM), and zlib-ng's on the
release, sometimes with the same length. So a plan's tag and the keys of all remembered figures include a digest of what
the codec makes of sample texts on this machine. Replicas with different dialects never resume each other's archives.
"""

import hashlib
import random

from service.archive.codec import BLOCK, CODECS, Compression

FORMAT = 2  # of framing, manifest and figures; raise it when a release makes other bytes of the same files
DIGEST = 8  # bytes


def dialect_of(compression: Compression) -> bytes:
    """Compute the digest; takes some milliseconds."""
    codec = CODECS[compression]
    digest = hashlib.sha256(repr((FORMAT, compression.value, BLOCK)).encode())
    for text in _samples():
        digest.update(codec.deflate(text, b"", False))
        digest.update(codec.deflate(text, text[: codec.window], True))
    return digest.digest()[:DIGEST]


def _samples() -> list[bytes]:
    """Texts for which codecs were seen to differ: words, few letters, one letter, random bytes, tiny and empty."""
    chance = random.Random(0)  # noqa: S311 - the same texts everywhere, not secrets
    words = [chance.randbytes(chance.randrange(2, 12)).hex().encode() for _ in range(300)]
    few = bytes(chance.choices(b"abcd", k=20_000))
    return [b" ".join(chance.choices(words, k=5_000)), few, bytes(70_000), chance.randbytes(70_000), b"{}\n", b""]
