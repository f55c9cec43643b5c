"""Metrics of values that the parts count anyway."""

from functools import partial

from aiohttp import web

from service.api.parts import AUDIT, INDEXER, READINESS, SESSIONS, SETTINGS
from service.server.metrics import Metrics
from service.transfers.admission import ADMISSION
from service.transfers.transfer import TRANSFERS


def watch_parts(metrics: Metrics, app: web.Application) -> None:
    """Register the values; they are read when Prometheus scrapes."""
    admission, audit, sessions, transfers = app[ADMISSION], app[AUDIT], app[SESSIONS], app[TRANSFERS]
    answering = app[READINESS].answers
    for part in app[READINESS].parts:
        metrics.gauge("part_answers", "Whether the part answered the last check.", partial(answering, part), part=part)
    slots = app[SETTINGS].exports.max_concurrent
    metrics.gauge("exports_limit", "Exports that may run at once.", lambda: slots)
    metrics.gauge("exports_running", "Exports that have a slot.", lambda: admission.running)
    metrics.gauge("exports_waiting", "Exports that wait for a slot.", lambda: admission.waiting)
    metrics.counter("exports_refused", "Exports that waited too long for a slot.", lambda: admission.refused)
    metrics.gauge("transfers_running", "Exports and downloads under way.", lambda: transfers.running)
    metrics.counter("read_bytes", "Bytes of sessions that were read.", lambda: transfers.volume.total_bytes)
    metrics.counter("sent_bytes", "Bytes of bodies that were sent.", lambda: transfers.volume.bytes_sent)
    metrics.counter("members", "Files that were put into archives.", lambda: transfers.volume.file_count)
    metrics.counter("skipped_files", "Files that exports skipped.", lambda: transfers.volume.skipped)
    metrics.counter("audit_failures", "Audit rows that could not be written.", lambda: audit.failures)
    metrics.counter("usage_failures", "Lists made without the usage table.", lambda: sessions.usage_failures)
    indexer = app[INDEXER]
    metrics.gauge("index_failures", "Files and directories that the index cannot read.", lambda: indexer.failures)
