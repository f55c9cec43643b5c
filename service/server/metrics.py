"""Metrics for Prometheus, and their own address at which it scrapes them.

Labels are bounded: no user, file, address or request id is one. Values that a part counts anyway are read when
Prometheus scrapes, so they cost nothing in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service import __version__
from service.catalog.actions import KINDS, OUTCOMES
from service.pools import Pool

# Upper bounds of the buckets: of RATES in bytes per second, of all others in seconds.
REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WORK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
FIRST_BYTE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TRANSFER = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
RATES = (1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)
LAG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

LAG_INTERVAL = 0.25  # seconds between two measurements of the event loop


class Metrics:
    """All metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readings = Readings()
        self.registry.register(self._readings)
        ProcessCollector(namespace="session_export", registry=self.registry)
        self._requests = self._histogram("request_seconds", "Requests by route and status.", REQUEST, "route", "status")
        self._transfers = Counter(
            "session_export_transfers", "Transfers that ended.", ["kind", "outcome"], registry=self.registry
        )
        self._seconds = self._histogram("transfer_seconds", "Whole transfers, with the wait.", TRANSFER, "kind")
        self._first_byte = self._histogram("first_byte_seconds", "From request to first byte.", FIRST_BYTE, "kind")
        self._rate = self._histogram("transfer_bytes_per_second", "Of transfers that succeeded.", RATES, "kind")
        self._waited = self._histogram("pool_wait_seconds", "Work that waited for a thread.", WORK, "pool")
        self._worked = self._histogram("pool_work_seconds", "Work in a thread.", WORK, "pool")
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop runs what is due.", LAG)
        build = Gauge("session_export_build_info", "The version that runs.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        for kind in KINDS:  # Prometheus sees a first event as an increase only from a 0 that it has scraped
            for outcome in OUTCOMES:
                self._transfers.labels(kind, outcome.value)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A response ended. `route` is the route's pattern."""
        self._requests.labels(route, status).observe(seconds)

    def transfer(self, kind: str, outcome: str, seconds: float, first_byte: float | None, bytes_sent: int) -> None:
        """A transfer of this kind ended; `first_byte` is the seconds until that was sent, where one was."""
        self._transfers.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)
        if first_byte is not None:
            self._first_byte.labels(kind).observe(first_byte)
        if outcome == "success" and seconds > 0:
            self._rate.labels(kind).observe(bytes_sent / seconds)

    def pool(self, name: str) -> Callable[[float, float], None]:
        """The callback for a pool of this name; its arguments are the seconds that a piece of work waited and took."""
        waited, worked = self._waited.labels(name), self._worked.labels(name)

        def done(wait_seconds: float, work_seconds: float) -> None:
            waited.observe(wait_seconds)
            worked.observe(work_seconds)

        return done

    def watch_pool(self, name: str, pool: Pool) -> None:
        """Report the size of a pool and how much of it is in use."""
        self.gauge("pool_threads", "Threads of the pool.", lambda: pool.threads, pool=name)
        self.gauge("pool_busy", "Threads of the pool that are busy.", lambda: pool.busy, pool=name)
        self.gauge("pool_queued", "Work that waits for a thread.", lambda: pool.queued, pool=name)

    def gauge(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A value that goes up and down, read when Prometheus scrapes."""
        self._readings.add(Reading(f"session_export_{name}", about, GaugeMetricFamily, read, labels))

    def counter(self, name: str, about: str, read: Callable[[], float], **labels: str) -> None:
        """A value that only grows, read when Prometheus scrapes."""
        self._readings.add(Reading(f"session_export_{name}", about, CounterMetricFamily, read, labels))

    async def measure_lag(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._lag.observe(max(loop.time() - due, 0))

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"session_export_{name}", about, labels, registry=self.registry, buckets=buckets)


METRICS = web.AppKey[Metrics | None]("metrics")


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that another part counts, with its name in the metrics."""

    name: str
    about: str
    family: type[GaugeMetricFamily] | type[CounterMetricFamily]
    read: Callable[[], float]
    labels: dict[str, str]


class Readings(Collector):
    """The values that are read when Prometheus scrapes."""

    def __init__(self) -> None:
        self._readings: dict[str, list[Reading]] = {}

    def add(self, reading: Reading) -> None:
        self._readings.setdefault(reading.name, []).append(reading)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """One family for each name."""
        for name, readings in self._readings.items():
            family = readings[0].family(name, readings[0].about, labels=list(readings[0].labels))
            for reading in readings:
                family.add_metric(list(reading.labels.values()), reading.read())
            yield family


@asynccontextmanager
async def served(metrics: Metrics, host: str, port: int) -> AsyncIterator[str]:
    """Serve GET /metrics at this address during the block; yields the URL. Raises OSError if the address is in use."""
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise OSError(f"metrics.host, metrics.port: {error}") from error
        bound, bound_port = runner.addresses[0][:2]
        yield f"http://{f'[{bound}]' if ':' in bound else bound}:{bound_port}/metrics"
    finally:
        await runner.cleanup()
