"""Archives on the disk, verified without a service."""

import random
import subprocess
import zipfile
from pathlib import Path

import pytest

from service.client import CannotRead, Progress, verify_archive
from tests.client.archives import archive_of, manifested

FILES = {f"u-{number % 3}/{number}.jsonl": random.Random(number).randbytes(number * 500) for number in range(8)}


def saved(directory: Path, data: bytes) -> Path:
    path = directory / "out.zip"
    path.write_bytes(data)
    return path


async def test_a_whole_archive_with_a_manifest(tmp_path: Path) -> None:
    path = saved(tmp_path, archive_of(manifested(FILES)))
    seen: list[Progress] = []
    result = await verify_archive(path, progress=seen.append)
    assert (result.damage, result.has_manifest, result.files) == (None, True, 8)
    assert seen[-1].done == seen[-1].total == path.stat().st_size


async def test_a_whole_archive_without_a_manifest(tmp_path: Path) -> None:
    result = await verify_archive(saved(tmp_path, archive_of(FILES)))
    assert (result.damage, result.has_manifest, result.files) == (None, False, 8)


@pytest.mark.parametrize("files", [FILES, manifested(FILES)], ids=["plain", "manifest"])
async def test_an_archive_that_is_cut_at_every_1000th_byte_is_never_whole(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    archive = archive_of(files)
    assert len(archive) > 14_000
    for length in [*range(0, len(archive), 1000), len(archive) - 1]:
        assert (await verify_archive(saved(tmp_path, archive[:length]))).damage is not None, length


async def test_an_archive_that_was_cut_and_mended_by_another_program_is_not_whole(tmp_path: Path) -> None:
    """`zip -d` leaves a valid archive: only the manifest knows what is gone."""
    path = saved(tmp_path, archive_of(manifested(FILES)))
    subprocess.run(["zip", "-qd", path, "u-1/4.jsonl"], check=True)
    assert zipfile.ZipFile(path).testzip() is None
    result = await verify_archive(path)
    assert result.damage is not None
    assert result.findings.missing == ["u-1/4.jsonl"]


async def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(CannotRead, match=str(path)):
            await verify_archive(path)
