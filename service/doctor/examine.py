"""The examination: the requests, their order, and the printed report."""

import asyncio
import secrets
import textwrap
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import click

from service.doctor import findings
from service.doctor.findings import PART, Finding, Verdict
from service.doctor.received import CLAIM, Echo, Received

PAUSE = 2.0  # seconds between the two pieces of the stream that shows buffering
SILENCE = 65.0  # seconds; most proxies' limit is 60
TIMEOUT = 60.0  # seconds for a response, besides its pauses; also for 24 MiB
ENCODINGS = "gzip, deflate, br, zstd"


class Doctor:
    """Examines one URL. `session` sends the token; `my_address` is what the service should see, if known."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        my_address: str | None = None,
        pause: float = PAUSE,
        silence: float = SILENCE,
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._my_address = my_address
        self._pause = pause
        self._silence = silence

    async def reach(self) -> Echo:
        """Send a forged client address; return how the service sees this client. Raises CannotExamine."""
        return Echo.of(await self._get("echo", headers=CLAIM))

    async def examine(self, echo: Echo) -> AsyncIterator[Finding]:
        """Yield each finding as soon as it is known; the one about silence comes last."""
        silence = asyncio.create_task(self._get("paused", seconds=self._silence))
        try:
            yield findings.truncation(await self._get("broken"), echo)
            paused, flood = await asyncio.gather(
                self._get("paused", seconds=self._pause), self._get("flood", read_after=self._pause)
            )
            yield findings.buffering(paused, flood, self._pause)
            encoded = {"Accept-Encoding": ENCODINGS}
            archive = await self._get("paused", headers=encoded, seconds=0)
            yield findings.compression(archive, await self._get("session", headers=encoded))
            session = await self._get("session")
            yield findings.ranges(session, await self._part(session))
            yield findings.address(echo, paused.local, self._my_address)
            sent, received = await self._impersonate(echo)
            yield findings.request_id(sent, received)
            yield findings.identity(sent, received)
            yield findings.silence(await silence, self._silence)
        finally:
            silence.cancel()

    async def _part(self, session: Received) -> Received:
        """Request a part of the session, as a client that resumes a download does."""
        headers = {"Range": f"bytes={PART.start}-{PART.stop - 1}"}
        if etag := session.headers.get("ETag"):
            headers["If-Range"] = etag
        return await self._get("session", headers=headers)

    async def _impersonate(self, echo: Echo) -> tuple[str, Received]:
        """Send a request id, and the same text in the identity headers, as if this client were somebody else."""
        sent = f"doctor-{secrets.token_hex(8)}"
        return sent, await self._get("echo", headers=dict.fromkeys(echo.identity, sent) | {"X-Request-ID": sent})

    async def _get(
        self,
        what: str,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        read_after: float = 0,
    ) -> Received:
        """Send a request and record how the response arrives. `read_after`: seconds before its body is read."""
        received = Received()
        began = time.monotonic()
        try:
            async with self._session.get(
                f"{self._url}/api/admin/doctor/{what}",
                params={} if seconds is None else {"seconds": f"{seconds:g}"},
                headers={"Accept-Encoding": "identity"} | dict(headers or {}),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT + (seconds or 0)),
                allow_redirects=False,
            ) as response:
                received.status, received.headers = response.status, response.headers.copy()
                if response.connection is not None and response.connection.transport is not None:
                    received.local = response.connection.transport.get_extra_info("sockname")[0]
                await asyncio.sleep(read_after)
                async for piece in response.content.iter_any():
                    received.first = received.first or time.monotonic() - began
                    received.body += piece
        except TimeoutError:
            received.trouble = f"it had not ended after {time.monotonic() - began:.0f} s"
        except aiohttp.ClientPayloadError:
            received.trouble = "it broke off"
        except aiohttp.ClientError as error:
            received.trouble = " ".join(str(error).split()) or type(error).__name__
        received.ended = time.monotonic() - began
        return received


async def run(url: str, token: str, *, my_address: str | None = None, silence: float = SILENCE) -> bool:
    """Examine and print the report; return whether all is sound. Raises CannotExamine."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "session-export-doctor"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(headers=headers, connector=connector, auto_decompress=False) as session:
        doctor = Doctor(session, url, my_address=my_address, silence=silence)
        echo = await doctor.reach()
        click.echo(f"Session Export {echo.version} at {url}, asked as {echo.user_id!r}")
        click.echo(f"(this takes {silence:g} s, for which one of the streams stays silent, and 24 MiB)\n", err=True)
        found = []
        async for finding in doctor.examine(echo):
            found.append(finding)
            click.echo(format_finding(finding))
    click.echo(f"\n{_summary([finding.verdict for finding in found])}")
    return all(finding.verdict is Verdict.SOUND for finding in found)


def _summary(verdicts: Sequence[Verdict]) -> str:
    wrong, unsure = verdicts.count(Verdict.WRONG), verdicts.count(Verdict.UNSURE)
    if not wrong + unsure:
        return f"All {len(verdicts)} sound: what the service sends is what clients get."
    counts = f"Of {len(verdicts)}, {wrong} wrong" + (f", {unsure} undetermined" if unsure else "")
    return f"{counts}. " + ("Fix it, reload the proxy, and run the doctor again." if wrong else "See the reason above.")


def format_finding(finding: Finding) -> str:
    """The lines of the report for one finding."""
    colour = {Verdict.SOUND: "green", Verdict.UNSURE: "yellow", Verdict.WRONG: "red"}[finding.verdict]
    margin = " " * 21
    lines = [*textwrap.wrap(finding.seen, 88)]
    if finding.remedy is not None:
        lines += textwrap.wrap(finding.remedy.harm, 88)
        lines += [f"  {program:<13}{line}" for program, line in finding.remedy.lines]
    head = click.style(f"{finding.verdict:<8}", fg=colour, bold=True) + f"{finding.name:<13}"
    return head + f"\n{margin}".join(lines)
