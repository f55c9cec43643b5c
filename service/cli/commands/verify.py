"""`session-export verify`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.exit_codes import BROKEN, FAILED, NO_MANIFEST, SKIPPED, VERIFYING, exit_codes_help
from service.cli.process import exit_with

if TYPE_CHECKING:
    from service.cli.output import Output
    from service.client import Verification

SEVEREST_FIRST = (BROKEN, FAILED, NO_MANIFEST, SKIPPED, 0)


@click.command(short_help="Check exported archives, without a service.", epilog=exit_codes_help(VERIFYING))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
def verify(files: Sequence[Path]) -> None:
    """Check exported archives against their manifests, without a service.

    Reads each archive to its end, and prints whether it is whole, and which sessions are missing, changed, skipped or
    were still being written when they were exported. An archive without a manifest is checked against its own
    checksums alone.
    """

    async def work() -> int:
        from service.cli.output import Output  # noqa: PLC0415

        output = Output()
        codes = {await _verify(path, output) for path in files}
        return next(code for code in SEVEREST_FIRST if code in codes)

    exit_with(work())


async def _verify(path: Path, output: "Output") -> int:
    from service.client import CannotRead, verify_archive  # noqa: PLC0415

    try:
        with output.bar(path.name) as progress:
            verified = await verify_archive(path, progress=progress)
    except CannotRead as error:
        output.error(str(error))
        return FAILED
    _print(verified, output)
    if verified.damage is not None:
        return BROKEN
    if not verified.has_manifest:
        return NO_MANIFEST
    return SKIPPED if verified.skipped or verified.findings.still_written else 0


def _print(verified: "Verification", output: "Output") -> None:
    from service.cli.tables import format_count, format_size  # noqa: PLC0415

    path, findings = verified.path, verified.findings
    if verified.damage is not None:
        output.line(f"{path}: not whole: {verified.damage}")
    else:
        content = f"{format_count(verified.files, 'file')}, {format_size(verified.text_bytes)}"
        output.line(f"{path}: whole, {content}" + ("" if verified.has_manifest else "; it has no manifest"))
    for word, names in (
        ("missing", findings.missing),
        ("not listed", findings.unlisted),
        ("changed", findings.changed),
        ("still being written", findings.still_written),
    ):
        for name in names:
            output.line(f"{path}: {word}: {name}")
    for skipped in verified.skipped:
        output.line(f"{path}: skipped {skipped.name}: {skipped.reason}")
