"""The findings: each function judges responses and returns what was observed, with the remedy."""

from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus

from service.doctor import remedies
from service.doctor.received import FORGED, Echo, Received
from service.doctor.remedies import Remedy

PART = slice(1000, 3000)  # the bytes that are requested of the session


class Verdict(StrEnum):
    SOUND = "ok"
    UNSURE = "unsure"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was observed of one property. A wrong one has a remedy."""

    name: str
    verdict: Verdict
    seen: str
    remedy: Remedy | None = None


def truncation(received: Received, echo: Echo) -> Finding:
    name = "truncation"
    if received.whole:
        seen = f"A stream that the service broke off arrived as a complete one of {len(received.body)} bytes"
        why = "; the last proxy speaks HTTP/1.0 to the service" if echo.http_version == "1.0" else ""
        return Finding(name, Verdict.WRONG, f"{seen}{why}.", remedies.TRUNCATION)
    if echo.http_version == "1.0":
        seen = "The last proxy speaks HTTP/1.0 to the service, which therefore refuses every export with 505."
        return Finding(name, Verdict.WRONG, seen, remedies.TRUNCATION)
    if received.status in (HTTPStatus.OK, HTTPStatus.BAD_GATEWAY):
        return Finding(name, Verdict.SOUND, "A stream that the service broke off on purpose arrived as broken.")
    return Finding(name, Verdict.UNSURE, f"The stream that is to break off did not arrive: {received.what}.")


def buffering(paused: Received, flood: Received, pause: float) -> Finding:
    """A proxy may hold bytes back from a waiting client, or read ahead of a client that does not read.

    nginx does only the latter: it passes bytes on at once, but reads the whole response as fast as it can.
    """
    name = "buffering"
    if not (paused.whole and flood.whole):
        what = flood.what if paused.whole else paused.what
        return Finding(name, Verdict.UNSURE, f"The streams for this test did not arrive: {what}.")
    later = paused.ended - paused.first
    if later < pause / 2:
        seen = f"The first bytes arrived after {paused.first:.1f} s, together with the rest: a proxy held them back."
        return Finding(name, Verdict.WRONG, seen, remedies.BUFFERING)
    handed_over = int(flood.body.splitlines()[-1]) / 1000  # seconds until the service could send the last block
    size = f"{len(flood.body) / 1024**2:.0f} MiB"
    if handed_over < pause:
        seen = (
            f"While we read nothing for {pause:g} s, a proxy took {size} in {handed_over:.2f} s and kept them for us."
        )
        return Finding(name, Verdict.WRONG, seen, remedies.BUFFERING)
    seen = f"Bytes come as they are sent, and nobody takes {size} ahead of a client that does not read."
    return Finding(name, Verdict.SOUND, seen)


def compression(archive: Received, session: Received) -> Finding:
    name = "compression"
    for what, received in (("an archive", archive), ("a session", session)):
        if not received.whole:
            return Finding(name, Verdict.UNSURE, f"Asked for {what}: {received.what}.")
        if encoding := received.headers.get("Content-Encoding"):
            seen = f"A proxy compressed {what} on the way (Content-Encoding: {encoding})."
            return Finding(name, Verdict.WRONG, seen, remedies.COMPRESSION)
    return Finding(name, Verdict.SOUND, "Nothing is compressed on the way, though it was offered.")


def ranges(whole: Received, part: Received) -> Finding:
    name = "ranges"
    if not whole.whole:
        return Finding(name, Verdict.UNSURE, f"Asked for a session: {whole.what}.")
    if part.status == HTTPStatus.OK:
        seen = "A request for a part of a session got all of it: the Range header does not reach the service."
    elif part.status != HTTPStatus.PARTIAL_CONTENT or part.body != whole.body[PART]:
        seen = f"A request for {PART.stop - PART.start} bytes of a session got {len(part.body)}, status {part.status}."
    elif not whole.headers.get("ETag", "").startswith('"') or whole.headers.get("Accept-Ranges") != "bytes":
        seen = "Ranges work, but clients cannot know it: the strong ETag or Accept-Ranges is lost on the way."
    else:
        return Finding(name, Verdict.SOUND, "A part of a session came as asked, so a broken download can be resumed.")
    return Finding(name, Verdict.WRONG, seen, remedies.RANGES)


def address(echo: Echo, local: str, expected: str | None) -> Finding:
    """`local` is this client's address; `expected` is what the service should see, which differs behind NAT."""
    verdict, seen = _address(echo, local, expected)
    if verdict is not Verdict.WRONG:
        return Finding("address", verdict, seen)
    trust = "" if echo.client_ip == FORGED else f'server.trusted_proxies: ["{echo.peer}"]'
    return Finding("address", verdict, seen, replace(remedies.ADDRESS, service=trust))


def _address(echo: Echo, local: str, expected: str | None) -> tuple[Verdict, str]:
    seen = f"The service sees you at {echo.client_ip}"
    here = echo.peer == local  # the service or its last proxy runs on this machine, which proves little
    right = echo.client_ip == expected or (expected is None and echo.client_ip == local and not here)
    cases = [
        (
            here and echo.client_ip == FORGED and not echo.on_behalf,
            Verdict.UNSURE,
            ", which the doctor made up: it trusts this machine as a proxy. Run the doctor where clients are.",
        ),
        (echo.client_ip == FORGED, Verdict.WRONG, ", which the doctor made up: it believes what clients claim."),
        (right, Verdict.SOUND, ", which is right, and does not believe what clients claim."),
        (
            here and not expected,
            Verdict.UNSURE,
            ", but runs on this machine itself: run the doctor where clients are, or give --my-address if you know it.",
        ),
        (
            not echo.on_behalf,
            Verdict.WRONG,
            ": the host that connects to it forwards no client address (no X-Forwarded-For).",
        ),
        (echo.client_ip == echo.peer, Verdict.WRONG, ", the proxy's address: it is not set to trust that proxy."),
        (bool(expected), Verdict.WRONG, f" instead of {expected}: perhaps that is one more proxy."),
        (True, Verdict.UNSURE, f"; this machine is {local}. If both are yours, add --my-address {echo.client_ip}."),
    ]
    return next((verdict, seen + more) for applies, verdict, more in cases if applies)


def request_id(sent: str, received: Received) -> Finding:
    name = "request id"
    if not received.whole:
        return Finding(name, Verdict.UNSURE, f"Asked with an X-Request-ID of our own: {received.what}.")
    echo = Echo.of(received)
    returned = received.headers.get("X-Request-ID")
    if echo.request_id_received is None:
        seen = "The X-Request-ID that we sent does not reach the service."
    elif returned != echo.request_id:
        seen = f"The service has the request id {echo.request_id}, but the response has {returned or 'none'}."
    elif echo.request_id != sent:
        seen = "A proxy gives each request an id of its own; the service uses it and the answer carries it."
        return Finding(name, Verdict.SOUND, seen)
    else:
        return Finding(name, Verdict.SOUND, "Our X-Request-ID reached the service and came back.")
    return Finding(name, Verdict.WRONG, seen, remedies.REQUEST_ID)


def identity(sent: str, received: Received) -> Finding:
    """`sent` is the value of the forged headers."""
    if not received.whole:
        return Finding("identity", Verdict.UNSURE, f"Asked as if we were somebody else: {received.what}.")
    arrived = Echo.of(received).identity
    if forged := [name for name, values in arrived.items() if any(sent in value for value in values)]:
        seen = f"Anybody can claim to be anybody: a forged {' and '.join(forged)} reached the service."
        return Finding("identity", Verdict.WRONG, seen, remedies.identity(forged[0]))
    if arrived:
        return Finding("identity", Verdict.SOUND, f"Clients' own {' and '.join(arrived)} do not reach the service.")
    return Finding("identity", Verdict.SOUND, "The service believes no identity headers, so none can be forged.")


def silence(received: Received, silence: float) -> Finding:
    name = "silence"
    # Check the time too: a proxy that hides truncation hides its own.
    if received.whole and received.ended > 0.97 * silence:
        return Finding(name, Verdict.SOUND, f"A stream that was silent for {silence:g} s came to its end.")
    what = received.what if not received.whole else "it ended as if it were complete"
    seen = f"A stream should be silent for {silence:g} s; after {received.ended:.1f} s {what}."
    return Finding(name, Verdict.WRONG, seen, remedies.SILENCE)
