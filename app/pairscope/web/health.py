"""Health: is this process alive, is everything that it needs there, and the figures of both for Prometheus.

All of it is read from the supervisor's snapshot and, once, from the database: asking costs the pool nothing. The
figures are the supervisor's, so every web process tells the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import text

from pairscope.client.readiness import Check, checks
from pairscope.config import Settings
from pairscope.live import figures
from pairscope.pool import snapshot as snapshots
from pairscope.store import errors
from pairscope.web import problems, reach
from pairscope.web.access import open_to_all, reader_required
from pairscope.web.shell.errors import outage

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@open_to_all
def alive() -> Response:
    """This process answers; nothing else is looked at."""
    return Response("alive\n", mimetype="text/plain")


@blueprint.get("/readyz")
@open_to_all
def ready() -> tuple[Response, int]:
    """Whether pool, journal and database are there, each by name; 503 if one is not."""
    found = checks(reach.snapshot())
    try:
        reach.history().execute(text("SELECT 1 FROM positions WHERE node = -1"))
    except Exception as error:
        fault = errors.of(error)
        if fault is None:
            raise
        outage().say(problems.database_trouble(fault))
        found["database"] = Check(False, _why(fault))
    good = all(check.ok for check in found.values())
    body = {"ready": good, "checks": {name: check._asdict() for name, check in found.items()}}
    return jsonify(body), 200 if good else 503


def _why(fault: errors.Fault) -> str:
    """Whether the database is away, it answers and has no such tables, or says 'not now'."""
    if fault.kind in (errors.Kind.TABLES, errors.Kind.RIGHTS):
        return f"it answers, but its tables are missing or not to be read: pairscope migrate; it says: {fault.words}"
    if fault.answered:
        return f"it cannot be used now, {fault.kind.value}: {fault.words}"
    return f"it does not answer: {fault.words}"


@blueprint.get("/metrics")
@reader_required
def metrics() -> Response:
    """The supervisor's figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(reach.settings()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pairscope_{name}", words, value)


def _of_live(live: figures.Figures | None) -> Iterator[Metric]:
    """Those of the process that pushes."""
    yield _gauge("live_up", "1 if live said something lately: what changes is pushed to pages.", int(live is not None))
    if live is None:
        return
    yield _gauge("live_viewers_limit", "Viewers that live holds at most.", live.most)
    yield _gauge("live_viewers_address_limit", "Those of one address.", live.each)
    yield _gauge("live_viewers_behind", "Viewers for whom something waits.", live.behind)
    yield CounterMetricFamily("pairscope_live_handed", "Sockets that Apache has handed over to live.", live.handed)
    recorded = "Those of them that were reported for the record, at most 20 a second."
    yield CounterMetricFamily("pairscope_live_handed_recorded", recorded, live.recorded)
    yield CounterMetricFamily("pairscope_live_sent_bytes", "Bytes sent to viewers.", live.sent_bytes)
    yield CounterMetricFamily("pairscope_live_cpu_seconds", "Processor time of live.", live.busy)
    yield _gauge("live_tickets_waiting", "Tickets that were given and not used yet.", live.tickets.waiting)
    tickets = CounterMetricFamily(
        "pairscope_live_tickets", "Tickets given, used, expired, and not given for a bound.", labels=["what"]
    )
    for what, count in sorted(live.tickets.counts.items()):
        tickets.add_metric([what], count)
    yield tickets
    ends = CounterMetricFamily("pairscope_live_ends", "Viewers that went, or were not taken, by why.", labels=["why"])
    for why, count in sorted(live.ends.items()):
        ends.add_metric([why], count)
    yield ends
    viewers = GaugeMetricFamily("pairscope_live_viewers", "Viewers by stream.", labels=["stream"])
    events = CounterMetricFamily("pairscope_live_events", "Updates made, by stream.", labels=["stream"])
    for name, stream in sorted(live.streams.items()):
        viewers.add_metric([name], stream.viewers)
        events.add_metric([name], stream.events)
    yield viewers
    yield events


class Figures(Collector):
    """The snapshot as Prometheus' metrics. Read at each scrape: nothing is kept in a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        yield from _of_live(figures.read(self._settings))
        said = snapshots.read(self._settings, time.time_ns())
        yield _gauge("up", "1 if a supervisor said something lately.", int(said is not None))
        if said is None:
            return
        yield InfoMetricFamily(
            "pairscope_build",
            "The supervisor.",
            {"version": said.version, "node": str(said.node), "node_name": said.node_name},
        )
        yield _gauge(
            "ready",
            "1 if pool, journal and recorder are all ready.",
            int(all(check.ok for check in checks(said).values())),
        )
        yield _gauge("snapshot_timestamp_seconds", "When the supervisor said this.", said.at / 1e9)
        yield _gauge("epoch", "Supervisors that this node has had.", said.epoch)
        yield _gauge("run_full", "1 if the disk that holds the snapshot takes no new file.", int(bool(said.cramped)))
        yield _gauge("supervisor_open_fds", "Descriptors that the supervisor holds.", said.supervisor.fds)
        yield _gauge("workers_wanted", "Workers that there shall be.", said.wanted)
        workers = GaugeMetricFamily("pairscope_workers", "Workers by state.", labels=["state"])
        for state in ("starting", "idle", "busy", "stopping", "stopped"):
            workers.add_metric([state], sum(worker.standing == state for worker in said.workers))
        yield workers
        sandboxes = GaugeMetricFamily(
            "pairscope_workers_sandboxed", "Workers by the level of their sandbox.", labels=["sandbox"]
        )
        for level in sorted({worker.sandbox for worker in said.workers if worker.sandbox}):
            sandboxes.add_metric([level], sum(worker.sandbox == level for worker in said.workers))
        yield sandboxes
        jobs = CounterMetricFamily("pairscope_jobs", "Jobs that have ended in this epoch, by how.", labels=["state"])
        for state in ("done", "failed", "cancelled"):
            jobs.add_metric([state], getattr(said.jobs, state))
        yield jobs
        yield _gauge("jobs_queued", "Jobs that wait for a worker.", said.jobs.queued)
        yield _gauge("jobs_running", "Jobs that a worker has.", said.jobs.running)
        yield CounterMetricFamily("pairscope_messages", "Messages journaled in this epoch.", said.messages.journaled)
        housekeeping = CounterMetricFamily(
            "pairscope_housekeeping_messages", "Messages counted and not journaled.", labels=["kind"]
        )
        for kind, count in sorted(said.messages.housekeeping.items()):
            housekeeping.add_metric([kind], count)
        yield housekeeping
        yield CounterMetricFamily(
            "pairscope_transfers", "Descriptors that crossed by SCM_RIGHTS in this epoch.", said.transfers
        )
        yield _gauge("clients", "Pairs of web threads and tools.", len(said.clients))
        held = GaugeMetricFamily(
            "pairscope_connections", "Connections over the control socket, by user.", labels=["uid"]
        )
        for uid, count in sorted(said.connections.held.items()):
            held.add_metric([str(uid)], count)
        yield held
        yield _gauge("connections_user_limit", "The bound of one user.", said.connections.most)
        unread = said.unread
        yield _gauge("unread_bytes", "Bytes that wait for peers that do not read.", unread.bytes)
        yield _gauge(
            "unread_limit_bytes", "Their bound; a peer that exceeds it, or its own, is let go.", unread.bytes_all
        )
        yield _gauge("unread_peer_limit_bytes", "The bound of one peer.", unread.bytes_each)
        yield _gauge("unread_fds", "Descriptors that wait for peers that do not read or report.", unread.fds)
        yield _gauge("unread_limit_fds", "Their bound.", unread.fds_all)
        yield _gauge("unread_peer_limit_fds", "The bound of one peer.", unread.fds_each)
        yield CounterMetricFamily("pairscope_unread_let_go", "Peers let go for what they did not read.", unread.let_go)
        journal = said.journal
        yield _gauge(
            "journal_position", "Position of the last record: it grows, in steps at each start.", journal.position
        )
        yield _gauge("journal_bytes", "Bytes of journal.", journal.bytes)
        yield _gauge("journal_limit_bytes", "Their bound.", journal.limit)
        yield _gauge("journal_segments", "Files of journal.", journal.segments)
        yield CounterMetricFamily(
            "pairscope_journal_refusals", "Requests refused because the journal was full.", journal.refusals
        )
        recorder = said.recorder
        yield _gauge("recorder_up", "1 if the recorder writes to the database.", int(recorder.state == "ok"))
        yield _gauge("recorder_lag_records", "Records that wait for the database.", recorder.lag)
        yield _gauge("recorder_lag_seconds", "Age of the oldest of them.", recorder.lag_ns / 1e9)
        yield _gauge(
            "recorder_quarantined",
            "Entries in quarantine: records that the database refused, and gaps.",
            recorder.quarantined,
        )
        yield _gauge("recorder_gaps", "Stretches of the journal that are missing in the record.", recorder.gaps)
        yield _gauge("history_messages", "Messages that history keeps.", recorder.history)
        yield _gauge("history_messages_bound", "Messages that history may keep.", recorder.bound)
        results = said.results
        yield _gauge("results", "Outputs kept for download.", results.count)
        yield _gauge("results_bytes", "Their bytes.", results.bytes)
        yield _gauge("results_limit", "The bound of their number.", results.most)
        yield _gauge("results_limit_bytes", "The bound of their bytes.", results.limit)


def register(app: Flask) -> None:
    """Adds the three addresses to the application."""
    app.register_blueprint(blueprint)
