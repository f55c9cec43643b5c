"""The archive room: members in, chunks of a ZIP out. It knows no HTTP, no catalog, no users and no paths."""

from service.archive.archive import Archive
from service.archive.blocks import most_open_files
from service.archive.codec import Compression
from service.archive.stream import streamed

__all__ = ["Archive", "Compression", "most_open_files", "streamed"]
