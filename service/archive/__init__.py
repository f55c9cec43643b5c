"""The archive room: members in, chunks of a ZIP out. It knows no HTTP, no catalog, no users and no paths."""

from service.archive.archive import Archive
from service.archive.archives import Archives, Sources
from service.archive.blocks import most_open_files, most_open_folders
from service.archive.codec import Compression
from service.archive.folder_names import folder_path
from service.archive.layout import Layout
from service.archive.manifest import without_reserved_name
from service.archive.members import Changed, Source
from service.archive.part import Part
from service.archive.plan import Folder, Origin, Plan
from service.archive.remembered import Remembered
from service.archive.stream import streamed

__all__ = [
    "Archive",
    "Archives",
    "Changed",
    "Compression",
    "Folder",
    "Layout",
    "Origin",
    "Part",
    "Plan",
    "Remembered",
    "Source",
    "Sources",
    "folder_path",
    "most_open_files",
    "most_open_folders",
    "streamed",
    "without_reserved_name",
]
