"""Ranges and conditions over a real connection, against a model written from RFC 9110 and not from the code; what is
no HTTP by RFC 9112; and what a header may cost."""

import http.client
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import hdrs
from aiohttp.test_utils import make_mocked_request
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.http.conditions import Validators, byte_range, failed_precondition
from tests.raw import wire
from tests.serving import prepare, serving
from tests.world import World, assert_problem

DATA = bytes(range(100))
CHANGED = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)  # a Thursday
PATH = "/api/admin/users/u-1001/sessions/a.jsonl/download"

# What is written, and what it means: before, at or after the file's last change; None for no HTTP-date.
DATES = {
    "Wed, 08 Oct 2025 08:53:20 GMT": -1,
    "Thu, 09 Oct 2025 08:53:19 GMT": -1,
    "Thu, 09 Oct 2025 08:53:20 GMT": 0,
    "Fri, 10 Oct 2025 08:53:20 GMT": 1,
    "Thursday, 09-Oct-25 08:53:20 GMT": 0,  # RFC 850
    "Sunday, 06-Nov-94 08:49:37 GMT": -1,
    "Thu Oct  9 08:53:20 2025": 0,  # asctime
    "Thu Oct 30 08:53:20 2025": 1,
    "Fri, 10 Oct 2025 08:53:20 +0200": None,
    "Fri, 10 Oct 2025 08:53:20": None,
    "Fri, 10 Oct 99999999999999999999 08:53:20 GMT": None,
    "Fri, 99 Oct 2030 08:53:20 GMT": None,
    "2030-10-10T08:53:20Z": None,
    "1760000000": None,
    "*": None,
    "": None,
}
NUMBERS = st.sampled_from(["", "0", "00", "1", "49", "98", "99", "100", "101", "7" * 30, "7" * 900])
RANGES = st.builds("{}-{}".format, NUMBERS, NUMBERS)
JUNK = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
RANGE = st.one_of(
    RANGES.map("bytes={}".format),
    RANGES.map("BYTES= {}".format),
    RANGES.map("lines={}".format),
    st.lists(RANGES, min_size=2, max_size=4).map(lambda ranges: f"bytes={','.join(ranges)}"),
    JUNK,
    JUNK.map("bytes={}".format),
)
TAG = st.sampled_from(["{etag}", "W/{etag}", '"other"', 'W/"other"', '""', '"a,b"'])
LIST = st.one_of(
    st.just("*"),
    st.lists(TAG | st.just(""), min_size=1, max_size=4).map(", ".join),
    st.lists(TAG, min_size=1, max_size=3).map(" ,\t".join),
    st.sampled_from(["{etag}x", "x{etag}", "w/{etag}", "'x'", "{etag} {etag}", '"open', "*, {etag}", "{etag}, *"]),
)
DATE = st.sampled_from(sorted(DATES))


def lines(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """A header of one line, mostly, or of two."""
    return st.one_of(values.map(lambda value: [value]), st.lists(values, min_size=1, max_size=2))


RANGE_HEADERS = {"Range": lines(RANGE), "If-Range": lines(st.one_of(TAG, DATE, JUNK))}
CONDITIONS = {
    "If-Match": lines(LIST),
    "If-None-Match": lines(LIST),
    "If-Modified-Since": lines(DATE),
    "If-Unmodified-Since": lines(DATE),
}
HEADERS = st.one_of(
    lines(RANGES.map("bytes={}".format)).map(lambda values: {"Range": values}),
    st.fixed_dictionaries(RANGE_HEADERS),
    st.fixed_dictionaries({}, optional=CONDITIONS),
    st.fixed_dictionaries({}, optional=RANGE_HEADERS | CONDITIONS),
)


def model(method: str, headers: dict[str, list[str]], etag: str) -> tuple[int, str | None, bytes]:
    """Status, Content-Range and body."""
    if status := precondition({name: ", ".join(values) for name, values in headers.items()}, etag):  # section 5.3
        return status, None, b""
    if method == "HEAD":
        return 200, None, b""
    asked = one_range(", ".join(headers.get("Range", [])))
    if asked is None or ("If-Range" in headers and not if_range(", ".join(headers["If-Range"]), etag)):
        return 200, None, DATA
    first, last = asked
    # Section 14.1.2: positions, one by one.
    at = [i for i in range(100) if (i >= 100 - last if first is None else first <= i <= last)]
    return (206, f"bytes {at[0]}-{at[-1]}/100", DATA[at[0] : at[-1] + 1]) if at else (416, "bytes */100", b"")


def precondition(values: dict[str, str], etag: str) -> int | None:
    """Section 13.2.2, step by step."""
    if "If-Match" in values:
        if values["If-Match"] != "*" and ("", etag) not in tags(values["If-Match"]):
            return 412
    elif (then := DATES.get(values.get("If-Unmodified-Since", ""))) is not None and then < 0:
        return 412
    if "If-None-Match" in values:
        if values["If-None-Match"] == "*" or etag in [tag for _, tag in tags(values["If-None-Match"])]:
            return 304
    elif (then := DATES.get(values.get("If-Modified-Since", ""))) is not None and then >= 0:
        return 304
    return None


def tags(value: str) -> list[tuple[str, str]]:
    """Sections 8.8.3 and 5.6.1.2, weakness and tag; none of a list that is not valid."""
    member = r'(?:W/)?"[\x21\x23-\x7e]*"'
    if not re.fullmatch(rf"[ \t]*(?:{member})?[ \t]*(?:,[ \t]*(?:{member})?[ \t]*)*", value):
        return []
    return re.findall(r'(W/|)("[\x21\x23-\x7e]*")', value)


def one_range(value: str) -> tuple[int | None, int] | None:
    """Section 14.1.1: first and last position, or None and the length of a suffix. One range; others are ignored,
    as section 14.2 allows."""
    match = re.fullmatch(r"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", value, re.IGNORECASE)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return None, int(suffix)
    if last and int(last) < int(first):
        return None
    return int(first), int(last) if last else 10**5000


def if_range(value: str, etag: str) -> bool:
    """Section 13.1.5."""
    return value.strip(" \t") == etag or DATES.get(value.strip(" \t")) == 0


@dataclass
class Served:
    """The command, in a process of its own, and a connection to it."""

    connection: http.client.HTTPConnection
    token: str
    etag: str = ""

    def ask(self, method: str, headers: dict[str, list[str]]) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.putrequest(method, PATH)
        self.connection.putheader("Authorization", f"Bearer {self.token}")
        for name, values in headers.items():
            for value in values:
                self.connection.putheader(name, value)
        self.connection.endheaders()
        response = self.connection.getresponse()
        return response, response.read()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    os.utime(prepare(directory), (CHANGED.timestamp(), CHANGED.timestamp()))
    with serving(directory) as service:
        made = Served(http.client.HTTPConnection("127.0.0.1", service.port), service.token)
        made.etag = made.ask("HEAD", {})[0].headers["ETag"]
        yield made
        made.connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "GET", "GET", "HEAD"]), headers=HEADERS)
@example("GET", {"If-None-Match": ['"other"', "{etag}"]})
@example("GET", {"If-Match": ['"other"', "{etag}"]})
@example("GET", {"Range": ["bytes=0-0", "bytes=1-1"]})
@example("GET", {"Range": ["bytes=0-0"], "If-Range": ["{etag}", '"other"']})
@example("GET", {"If-Modified-Since": ["Fri, 10 Oct 2025 08:53:20 +0200"]})
@example("GET", {"If-None-Match": [", ,{etag}"]})
@example("GET", {"Range": ["bytes=" + "9" * 4000 + "-" + "9" * 4001]})
def test_every_answer_is_the_one_of_the_rfc(served: Served, method: str, headers: dict[str, list[str]]) -> None:
    sent = {name: [value.replace("{etag}", served.etag) for value in values] for name, values in headers.items()}
    response, body = served.ask(method, sent)
    # Whitespace around a value is none of it (section 5.5); the parser has taken it off each line.
    stripped = {name: [value.strip(" \t") for value in values] for name, values in sent.items()}
    status, content_range, expected = model(method, stripped, served.etag)
    event(str(status))
    assert response.status == status, sent
    assert response.headers["Content-Range"] == content_range
    if status in (200, 206):
        assert body == expected
        assert int(response.headers["Content-Length"]) == (len(DATA) if method == "HEAD" else len(expected))
    if status in (200, 206, 304):
        assert response.headers["ETag"] == served.etag
        assert response.headers["Last-Modified"] == "Thu, 09 Oct 2025 08:53:20 GMT"


def mocked(headers: list[tuple[str, str]]) -> Any:
    return make_mocked_request("GET", "/", headers=CIMultiDict(headers))


VALIDATORS = Validators("tag", CHANGED)
TWO = "bytes=0-0,2-2"
TEN_THOUSAND = f"bytes={','.join(f'{at}-{at}' for at in range(0, 20_000, 2))}"


def test_ten_thousand_ranges_cost_as_much_as_two() -> None:
    """Measured in turns, and the least of each taken; a reader of all would take thousands of times as long."""
    two, many = mocked([(hdrs.RANGE, TWO)]), mocked([(hdrs.RANGE, TEN_THOUSAND)])
    assert byte_range(two, VALIDATORS, 100_000) is None
    assert byte_range(many, VALIDATORS, 100_000) is None
    costs: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(2000):
        began = time.thread_time()
        byte_range((two, many)[turn % 2], VALIDATORS, 100_000)
        costs[turn % 2].append(time.thread_time() - began)
    assert min(costs[1]) < 5 * min(costs[0]) + 5e-6


@pytest.mark.parametrize(
    "text", ['"a",', '"a" ', "W/", ", ", '"', "*", "W/W/", '"tag"', " ", "a" ], ids=repr)  # fmt: skip
def test_a_long_list_of_tags_costs_in_proportion_to_its_length(text: str) -> None:
    """Four times as long: four times the time, not sixteen; with room for a busy machine."""

    def cost(length: int) -> float:
        request = mocked([(hdrs.IF_NONE_MATCH, text * (length // len(text)) + "x")])
        took = []
        for _ in range(7):
            began = time.thread_time()
            failed_precondition(request, VALIDATORS)
            took.append(time.thread_time() - began)
        return min(took)

    assert cost(400_000) < 10 * cost(100_000) + 1e-3


async def test_ten_thousand_ranges_are_too_long_a_header_and_as_many_as_fit_are_ignored(service: World) -> None:
    service.file("a.jsonl", DATA)
    path = "u-1/sessions/a.jsonl/download"
    assert_problem(await service.get(path, headers={"Range": TEN_THOUSAND}), 400)
    fits = TEN_THOUSAND[:8000].rpartition(",")[0]
    answer = await service.get(path, headers={"Range": fits})
    assert (answer.status, answer.body) == (200, DATA)


GOOD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


NO_HTTP = [
    b"GET /healthz HTTP/1.1\r\n\r\n",  # no Host (RFC 9112 section 3.2)
    GOOD + b"Host: b\r\n\r\n",
    GOOD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # smuggling (section 6.3)
    GOOD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    GOOD + b"Content-Length: +5\r\n\r\n",
    GOOD + b"Content-Length: 5, 5\r\n\r\n",
    GOOD + b"Content-Length: 0x5\r\n\r\n",
    GOOD + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    GOOD + b"Transfer-Encoding: xchunked\r\n\r\n",
    GOOD + b"X : space before the colon\r\n\r\n",  # section 5.1
    GOOD + b"X: folded\r\n over lines\r\n\r\n",  # section 5.2
    GOOD + b"X: a\x00b\r\n\r\n",
    GOOD + b"X: a\rb\r\n\r\n",
    GOOD + b": no name\r\n\r\n",
    GOOD + b"no colon\r\n\r\n",
    b"GET /healthz HTTP/1.1 x\r\nHost: a\r\n\r\n",
    b"GET /heal\xc3\xbcthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    GOOD + b"X: " + b"x" * 9000 + b"\r\n\r\n",
    GOOD + b"".join(b"X-%d: a\r\n" % number for number in range(101)) + b"\r\n",
]


async def test_what_is_no_http_is_a_400_in_our_version_and_the_end_of_the_connection(service: World) -> None:
    for sent in NO_HTTP:
        async with wire(service.running.port) as line:
            reply = await line.send(sent)
            assert await line.reader.read() == b""
        assert (reply.version, reply.status, reply.headers["Connection"]) == (11, 400, "close")
        assert reply.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9"])
async def test_another_version_is_answered_in_ours(service: World, version: str) -> None:
    async with wire(service.running.port) as line:
        reply = await line.send(f"GET /healthz {version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert (reply.version, reply.status) == (11, 200)


async def test_a_request_within_the_limits_is_answered(service: World) -> None:
    """As long as they may be, and as many."""
    long = b"GET /healthz?" + b"x" * 16_000 + b" HTTP/1.1\r\nHost: a\r\n"
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * (8000 if number < 4 else 10)) for number in range(90))
    async with wire(service.running.port) as line:
        for request in (long, GOOD + headers, long + headers):
            assert (await line.send(request + b"\r\n")).status == 200


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [("/api/admin/nothing", "", 401), ("/api/admin", "", 401), ("/api/admin/users/u-1/sessions", "", 401),
     ("/api/admin/nothing", "plain-token", 403), ("/nothing", "", 401), ("/healthz", "", 200)],
)  # fmt: skip
async def test_an_expectation_changes_no_answer(service: World, path: str, token: str, status: int) -> None:
    async with wire(service.running.port) as line:
        for expect in ("100-continue", "something", ""):
            assert (await line.ask(path, f"Expect: {expect}", token=token)).status == status
            assert (await line.ask(path, f"Expect: {expect}", token=token, method="POST")).status in (status, 405)


NO_NUMBERS = [
    "limit=1_0",
    "limit=%2B1",
    "limit=1.0",
    "limit=%201",
    "limit=1%20",
    "limit=",
    "limit=1e1",
    "limit=0x1",
    "limit=\u0661",
    "limit=1&limit=1",
    "limit=1&limit=2",
    "offset=0&offset=0",
    "limit=" + "1" * 5000,
    "limit=0",
    "limit=201",
    "limit=-1",
    "offset=-1",
    "offset=9223372036854775808",
    "offset=1_0",
    "limit=true",
    "limit=1%00",
    "limit=--1",
]


async def test_a_number_is_digits_and_given_once(service: World) -> None:
    for query in NO_NUMBERS:
        for path in ("u-1/sessions", "u-1/activity"):
            answer = await service.get(f"{path}?{query.encode('latin-1', 'replace').decode()}")
            assert_problem(answer, 422)
            (mistake,) = answer.json["errors"]
            assert mistake["loc"] == ["query", query.partition("=")[0]]
            assert mistake.keys() == {"loc", "msg", "type"}


async def test_a_compression_is_given_once(service: World) -> None:
    service.file("a.jsonl")
    for method in ("GET", "HEAD"):
        assert (await service.get("u-1/sessions/download-all?compression=fast&compression=small", method)).status == 422
    assert (await service.get("u-1/sessions/download-all?compression=small&x=1&x=2")).status == 200


def test_the_model_reads_what_it_is_written_for() -> None:
    """So that the model itself is not what is wrong."""
    assert one_range("bytes=0-0") == (0, 0)
    assert one_range("bytes=-5") == (None, 5)
    assert one_range("bytes=5-4") is None
    assert tags('"a", W/"b",,') == [("", '"a"'), ("W/", '"b"')]
    assert [one_range(value) for value in ("", "bytes=", "bytes=-", "bytes=0-1,2-3")] == [None] * 4
