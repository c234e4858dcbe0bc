"""The running system, as the snapshot tells it: browser, web processes, supervisor, workers, recorder, database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from pairscope.pool.snapshot import RecorderView, Snapshot, WorkerView
from pairscope.web.drawing.shapes import Card, Drawing
from pairscope.web.words import number, size

OWN_END = 3
"""The number under which every child of the supervisor has its end of the pair."""
MOST = 8
"""Boxes of one role that are drawn; the rest is counted in words."""


class WebProcess(NamedTuple):
    """The pairs of one client process, taken together."""

    role: str
    pid: int
    pairs: int
    messages: int


class Surroundings(NamedTuple):
    """What stands around the pool, as web knows it."""

    server: str
    """The HTTP server's name and version."""
    pid: int
    """This web process."""
    database: str
    database_state: str
    """``good``, ``failed`` or ``unknown``."""


def web_processes(snapshot: Snapshot | None, own: int) -> list[WebProcess]:
    """Clients of the pool by process, web before others; this process stands for web as long as none has a pair.

    The same from whichever web process asks: a drawing must not change with the process that happens to make it.
    """
    found: dict[tuple[str, int], WebProcess] = {}
    for client in snapshot.clients if snapshot else ():
        key = (client.role, client.pid)
        before = found.get(key, WebProcess(*key, 0, 0))
        found[key] = before._replace(pairs=before.pairs + 1, messages=before.messages + client.messages)
    if not any(role == "web" for role, _pid in found):
        found["web", own] = WebProcess("web", own, 0, 0)
    return sorted(found.values(), key=lambda process: (process.role != "web", process.role, process.pid))


def worker_state(worker: WorkerView) -> tuple[str, str]:
    """A worker's shape and word."""
    return {
        "idle": ("good", _("idle")),
        "busy": ("good", _("busy: %(kind)s", kind=worker.kind) if worker.kind else _("busy")),
        "starting": ("attention", _("starting")),
        "stopping": ("attention", _("stopping")),
        "stopped": ("attention", _("stopped")),
    }.get(worker.standing, ("unknown", worker.state))


def draw(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    """The drawing twice: for wide screens and paper, and for a phone. The style sheet shows one of them."""
    return _wide(snapshot, around) + _narrow(snapshot, around)


def _words(snapshot: Snapshot | None, around: Surroundings) -> tuple[str, str]:
    if snapshot is None:
        return _("The running system"), _(
            "The pool is not running: only the browser, %(server)s and the database are there.", server=around.server
        )
    return _("The running system"), _(
        "A browser reaches %(server)s, whose web process %(pid)s talks over socket pairs to the supervisor, "
        "process %(supervisor)s. "
        "The supervisor hands jobs to %(workers)s workers, and a recorder drains its journal into %(database)s.",
        server=around.server,
        pid=web_processes(snapshot, around.pid)[0].pid,
        supervisor=snapshot.supervisor.pid,
        workers=len(snapshot.workers),
        database=around.database,
    )


def _note(client: WebProcess) -> str:
    """What a client is that is no web process."""
    return _("runs scenarios") if client.role == "lab" else _("command line")


def _client(client: WebProcess, note: str, *, with_messages: bool = False) -> Card:
    line = f"pid {client.pid} · {ngettext('%(num)s pair', '%(num)s pairs', client.pairs)}"
    if with_messages:
        line += f" · {_messages(client.messages)}"
    return Card(client.role, f"{client.role} · {note}" if note else client.role, [line])


def _supervisor(snapshot: Snapshot) -> Card:
    stopping = snapshot.state == "stopping"
    lines = [
        f"pid {snapshot.supervisor.pid}",
        ngettext("%(num)s descriptor", "%(num)s descriptors", snapshot.supervisor.fds),
        _("%(count)s waiting", count=snapshot.jobs.queued),
        _("%(count)s running", count=snapshot.jobs.running),
    ]
    state, word = ("attention", _("stopping")) if stopping else ("good", _("running"))
    return Card("supervisor", f"supervisor {snapshot.supervisor.serial}", lines, state, word)


def _worker(worker: WorkerView) -> Card:
    line = f"pid {worker.pid} · {worker.sandbox or '–'}"
    href = url_for("pages.worker", serial=worker.serial)
    return Card("worker", f"worker {worker.serial}", [line], *worker_state(worker), href)


def recorder_state(recorder: RecorderView) -> tuple[str, str]:
    """The recorder's shape and word."""
    return {
        "ok": ("good", _("ok")),
        "away": ("failed", _("away")),
        "dead": ("failed", _("dead")),
        "stopped": ("failed", _("stopped")),
        "stalled": ("failed", _("stalled")),
    }.get(recorder.state, ("attention", _("starting")))


def _recorder(recorder: RecorderView) -> Card:
    state, word = recorder_state(recorder)
    return Card("recorder", f"recorder {recorder.serial}", [f"pid {recorder.pid}"], state, word)


def _messages(count: int) -> str:
    return ngettext("%(count)s message", "%(count)s messages", count, count=number(count))


def _jobs(worker: WorkerView) -> str:
    count = worker.done + worker.failed
    return ngettext("%(count)s job", "%(count)s jobs", count, count=number(count))


def _on_disk(snapshot: Snapshot) -> str:
    return _("%(bytes)s on disk", bytes=size(snapshot.journal.bytes))


def _rows(snapshot: Snapshot | None) -> list[str]:
    return [number(snapshot.recorder.history) + " " + _("rows")] if snapshot else []


def _more(count: int) -> str:
    return _("and %(count)s more", count=count)


# ---- from left to right

ROW, TOP = 62, 26
"""Height of a process with the gap below it, and where the first one begins."""


def _wide(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    clients = web_processes(snapshot, around.pid)
    webs = sum(client.role == "web" for client in clients[:MOST])
    rows = max(min(len(clients), MOST), min(len(snapshot.workers), MOST) if snapshot else 0, 2)
    below = TOP + rows * ROW
    """Where the recorder's row begins."""
    bottom = below + ROW + 10
    drawing = Drawing("system", 1120, bottom + 122, *_words(snapshot, around), layout="wide")
    for x, label in ((0, _("your browser")), (150, around.server), (490, _("the pool"))):
        drawing.text(x, 12, label, "label")
    _browser(drawing)
    drawing.rect(150, TOP - 6, 220, webs * ROW + 2, "group", 9)
    for index, client in enumerate(clients[:MOST]):
        _client_row(drawing, client, TOP + index * ROW, alone=webs == 1)
    if len(clients) > MOST:
        drawing.text(160, TOP + MOST * ROW + 16, _more(len(clients) - MOST), "small soft")
    if snapshot:
        _supervisor_column(drawing, snapshot, bottom)
        for index, worker in enumerate(snapshot.workers[:MOST]):
            _worker_row(drawing, worker, TOP + index * ROW)
        if len(snapshot.workers) > MOST:
            drawing.text(800, TOP + MOST * ROW + 2, _more(len(snapshot.workers) - MOST), "small soft")
        _recorder_row(drawing, snapshot, below, bottom)
    else:
        drawing.rect(490, TOP - 6, 190, bottom - TOP, "process absent", 7)
        drawing.text(585, TOP + 40, _("no supervisor"), "name soft", "middle")
        drawing.text(585, TOP + 60, _("The pool is not running."), "small soft", "middle")
    _database(drawing, snapshot, around, below, TOP + webs * ROW - 14)
    return drawing.svg()


def _browser(drawing: Drawing) -> None:
    lane = TOP + ROW / 2 - 5
    drawing.rect(0, lane - 26, 92, 52, "process foreign", 7)
    drawing.text(46, lane + 5, _("browser"), "name", "middle")
    drawing.arrow(92, lane, 150, lane, "edge")
    drawing.text(120, lane - 7, "HTTP", "mono tiny soft", "middle")


def _client_row(drawing: Drawing, client: WebProcess, y: float, *, alone: bool) -> None:
    """A web process in its server, or another client below it, with its pairs to the supervisor."""
    web = client.role == "web"
    y += 2 if web else 8
    note = _note(client) if not web else _("this page") if alone else ""
    drawing.process(160, y, 200, 50, _client(client, note))
    if client.pairs:
        _channel(drawing, 360, 490, y + 25, _messages(client.messages))


def _channel(drawing: Drawing, x1: float, x2: float, y: float, words: str, queued: int = 0) -> None:
    drawing.line(x1, y, x2, y, "edge")
    drawing.pair((x1 + x2) / 2, y, queued)
    drawing.text((x1 + x2) / 2, y - 15, words, "mono tiny soft", "middle")


def _supervisor_column(drawing: Drawing, snapshot: Snapshot, bottom: float) -> None:
    card = _supervisor(snapshot)
    drawing.process(490, TOP - 6, 190, bottom - TOP, card._replace(state="", word=""))
    drawing.mark(506, bottom - 24, card.state)
    drawing.text(518, bottom - 20, card.word + " · " + _("epoch %(epoch)s", epoch=snapshot.epoch), "small")


def _worker_row(drawing: Drawing, worker: WorkerView, y: float) -> None:
    _channel(drawing, 680, 770, y + 25, _jobs(worker), worker.in_flight)
    drawing.process(800, y, 320, 50, _worker(worker))
    drawing.slot(770, y + 14, OWN_END, "worker")


def _recorder_row(drawing: Drawing, snapshot: Snapshot, y: float, bottom: float) -> None:
    """The recorder on its pair, and the way of the records: journal, recorder, database."""
    lane, journal = y + 31, bottom + 26
    drawing.line(680, lane, 770, lane, "edge housekeeping")
    drawing.pair(725, lane)
    drawing.process(800, y + 6, 168, 50, _recorder(snapshot.recorder))
    drawing.slot(770, lane - 11, OWN_END, "recorder")
    drawing.arrow(585, bottom - 6, 585, journal, "edge")
    drawing.object(490, journal, 190, 46, _("journal"), [_on_disk(snapshot)])
    drawing.line(680, journal + 23, 884, journal + 23, "edge")
    drawing.arrow(884, journal + 23, 884, y + 56, "edge")
    lag = snapshot.recorder.lag
    behind = ngettext("%(count)s record behind", "%(count)s records behind", lag, count=number(lag))
    drawing.text(782, journal + 16, behind, "mono tiny soft", "middle")
    drawing.arrow(968, lane, 1018, lane, "edge")


def _database(drawing: Drawing, snapshot: Snapshot | None, around: Surroundings, y: float, entry: float) -> None:
    """The database, and the way back: what pages read."""
    drawing.object(1018, y + 6, 102, 50, around.database, _rows(snapshot))
    drawing.mark(1106, y + 21, around.database_state)
    back = drawing.height - 14
    drawing.line(1069, y + 56, 1069, back, "edge way-back")
    drawing.line(1069, back, 132, back, "edge way-back")
    drawing.line(132, back, 132, entry, "edge way-back")
    drawing.arrow(132, entry, 150, entry, "edge way-back")
    drawing.text(585, back - 6, _("pages read the record: SELECT"), "mono tiny soft", "middle")


# ---- from top to bottom


def _narrow(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    clients = web_processes(snapshot, around.pid)[:3]
    webs = sum(client.role == "web" for client in clients)
    y = 76 + 58 * len(clients) + 6 * (webs < len(clients))
    """Where the pool begins."""
    rows = (min(len(snapshot.workers), MOST) + 1) // 2 if snapshot else 0
    height = y + 50 + 62 + 54 + rows * 74 + 14 + 125 if snapshot else y + 112
    drawing = Drawing("system", 343, height, *_words(snapshot, around), layout="narrow")
    drawing.rect(116, 1, 110, 34, "process foreign", 7)
    drawing.text(171, 23, _("browser"), "name", "middle")
    drawing.arrow(171, 35, 171, 60, "edge")
    drawing.text(179, 52, "HTTP", "mono tiny soft")
    drawing.rect(1, 60, 341, 8 + 58 * webs, "group", 9)
    for index, client in enumerate(clients):
        web = client.role == "web"
        card = _client(client, around.server if web else _note(client), with_messages=True)
        drawing.process(10, 68 + 58 * index + (0 if web else 6), 323, 50, card)
    if snapshot is None:
        drawing.rect(1, y + 40, 341, 70, "process absent", 7)
        drawing.text(171, y + 80, _("The pool is not running."), "name soft", "middle")
        return drawing.svg()
    drawing.line(171, y, 171, y + 50, "edge")
    drawing.upright_pair(171, y + 25)
    card = _supervisor(snapshot)
    two = [" · ".join(card.lines[:2]), " · ".join(card.lines[2:])]
    drawing.process(1, y + 50, 341, 62, card._replace(lines=two))
    _workers_below(drawing, snapshot.workers[:MOST], y + 112)
    _record_below(drawing, snapshot, around, y + 166 + rows * 74 + 14)
    return drawing.svg()


def _workers_below(drawing: Drawing, workers: Sequence[WorkerView], y: float) -> None:
    """Two side by side; the supervisor ends at y."""
    for index, worker in enumerate(workers):
        x, top = 1 + 176 * (index % 2), y + 54 + 74 * (index // 2)
        if index < 2:
            drawing.line(x + 82, y, x + 82, top, "edge")
            drawing.upright_pair(x + 82, y + 27)
        card = _worker(worker)
        word = card.word if len(card.word) < 9 else _("busy")
        drawing.process(x, top, 165, 66, card._replace(lines=[f"pid {worker.pid}", _jobs(worker)], word=word))


def _record_below(drawing: Drawing, snapshot: Snapshot, around: Surroundings, y: float) -> None:
    drawing.object(1, y, 120, 50, _("journal"), [_on_disk(snapshot)])
    drawing.arrow(121, y + 25, 177, y + 25, "edge")
    drawing.process(177, y, 165, 50, _recorder(snapshot.recorder))
    drawing.arrow(259, y + 50, 259, y + 78, "edge")
    drawing.object(177, y + 78, 165, 46, around.database, _rows(snapshot))
    drawing.mark(326, y + 93, around.database_state)
