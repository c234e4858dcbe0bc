"""The running system, left to right: browser, web processes, supervisor, workers, recorder, database, with what the snapshot says."""

from __future__ import annotations

from typing import NamedTuple

from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from app.pool.snapshot import Snapshot, WorkerView
from app.web.drawing.shapes import Drawing
from app.web.words import number, size

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
    }.get(worker.state, ("unknown", worker.state))


def draw(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    """The drawing twice: for wide screens and paper, and for a phone. The style sheet shows one of them."""
    return _wide(snapshot, around) + _narrow(snapshot, around)


def _words(snapshot: Snapshot | None, around: Surroundings) -> tuple[str, str]:
    if snapshot is None:
        return _("The running system"), _("The pool is not running: only the browser, %(server)s and the database are there.", server=around.server)
    return _("The running system"), _(
        "A browser reaches %(server)s, whose web process %(pid)s talks over socket pairs to the supervisor, process %(supervisor)s. "
        "The supervisor hands jobs to %(workers)s workers, and a recorder drains its journal into %(database)s.",
        server=around.server,
        pid=web_processes(snapshot, around.pid)[0].pid,
        supervisor=snapshot.supervisor.pid,
        workers=len(snapshot.workers),
        database=around.database,
    )


def _supervisor_lines(snapshot: Snapshot) -> list[str]:
    return [
        f"pid {snapshot.supervisor.pid}",
        ngettext("%(num)s descriptor", "%(num)s descriptors", snapshot.supervisor.fds),
        _("%(count)s waiting", count=snapshot.jobs.queued),
        _("%(count)s running", count=snapshot.jobs.running),
    ]


def _recorder(snapshot: Snapshot) -> tuple[str, str]:
    return {"ok": ("good", _("ok")), "away": ("failed", _("away")), "dead": ("failed", _("dead"))}.get(snapshot.recorder.state, ("attention", _("starting")))


def _messages(count: int) -> str:
    return ngettext("%(count)s message", "%(count)s messages", count, count=number(count))


def _worker_href(worker: WorkerView) -> str:
    return url_for("pages.worker", serial=worker.serial)


def _wide(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    row, top = 62, 26
    clients = web_processes(snapshot, around.pid)
    webs = sum(client.role == "web" for client in clients[:MOST])
    workers = snapshot.workers if snapshot else []
    rows = max(min(len(clients), MOST), min(len(workers), MOST), 2)
    middle = top + rows * row  # the recorder's row begins here
    bottom = middle + row + 10
    height = bottom + 122
    drawing = Drawing("system", 1120, height, *_words(snapshot, around), layout="wide")
    drawing.text(0, 12, _("your browser"), "label")
    drawing.text(150, 12, around.server, "label")
    drawing.text(490, 12, _("the pool"), "label")

    # browser
    lane = top + row / 2 - 5
    drawing.rect(0, lane - 26, 92, 52, "process foreign", 7)
    drawing.text(46, lane + 5, _("browser"), "name", "middle")
    drawing.arrow(92, lane, 150, lane, "edge")
    drawing.text(120, lane - 7, "HTTP", "mono tiny soft", "middle")

    # web processes in their server, then other clients
    drawing.rect(150, top - 6, 242, webs * row + 2, "group", 9)
    for index, client in enumerate(clients[:MOST]):
        y = top + index * row + (6 if client.role != "web" else 0)
        pairs = ngettext("%(num)s pair", "%(num)s pairs", client.pairs)
        name = client.role + (" · " + (_("this page") if client.role == "web" else _("command line")) if client.role != "web" or webs == 1 else "")
        drawing.process(160, y + 2, 222, 50, client.role, name, [f"pid {client.pid} · {pairs}"])
        if client.pairs and snapshot:
            at = y + 27
            drawing.line(382, at, 490, at, "edge")
            drawing.pair(436, at)
            drawing.text(436, at - 15, _messages(client.messages), "mono tiny soft", "middle")
    if len(clients) > MOST:
        drawing.text(160, top + MOST * row + 16, _("and %(count)s more", count=len(clients) - MOST), "small soft")

    # supervisor, workers, recorder
    if snapshot:
        state = ("attention", _("stopping")) if snapshot.state == "stopping" else ("good", _("running"))
        drawing.process(490, top - 6, 190, bottom - top, "supervisor", f"supervisor {snapshot.supervisor.serial}", _supervisor_lines(snapshot))
        drawing.mark(506, bottom - 24, state[0])
        drawing.text(518, bottom - 20, f"{state[1]} · {_('epoch %(epoch)s', epoch=snapshot.epoch)}", "small")
        for index, worker in enumerate(workers[:MOST]):
            y = top + index * row
            at = y + 25
            drawing.line(680, at, 770, at, "edge")
            drawing.pair(725, at, worker.in_flight)
            drawing.text(725, at - 15, ngettext("%(count)s job", "%(count)s jobs", worker.done + worker.failed, count=number(worker.done + worker.failed)), "mono tiny soft", "middle")
            shape, word = worker_state(worker)
            drawing.process(800, y, 320, 50, "worker", f"worker {worker.serial}", [f"pid {worker.pid} · {worker.sandbox or '–'}"], state=shape, word=word, href=_worker_href(worker))
            drawing.slot(770, at - 11, OWN_END, "worker")
        if len(workers) > MOST:
            drawing.text(800, top + MOST * row + 6, _("and %(count)s more", count=len(workers) - MOST), "small soft")
        at = middle + 31
        drawing.line(680, at, 770, at, "edge housekeeping")
        drawing.pair(725, at)
        shape, word = _recorder(snapshot)
        drawing.process(800, middle + 6, 168, 50, "recorder", f"recorder {snapshot.recorder.serial}", [f"pid {snapshot.recorder.pid}"], state=shape, word=word)
        drawing.slot(770, at - 11, OWN_END, "recorder")
        drawing.arrow(968, at, 1018, at, "edge")
        journal = bottom + 26
        drawing.arrow(585, bottom - 6, 585, journal, "edge")
        drawing.object(490, journal, 190, 46, _("journal"), [_("%(bytes)s on disk", bytes=size(snapshot.journal.bytes))])
        drawing.line(680, journal + 23, 884, journal + 23, "edge")
        drawing.arrow(884, journal + 23, 884, middle + 56, "edge")
        drawing.text(782, journal + 16, ngettext("%(count)s record behind", "%(count)s records behind", snapshot.recorder.lag, count=number(snapshot.recorder.lag)), "mono tiny soft", "middle")
    else:
        drawing.rect(490, top - 6, 190, bottom - top, "process absent", 7)
        drawing.text(585, top + 40, _("no supervisor"), "name soft", "middle")
        drawing.text(585, top + 60, _("The pool is not running."), "small soft", "middle")

    # database, and the way back
    drawing.object(1018, middle + 6, 102, 50, around.database, [number(snapshot.recorder.history) + " " + _("rows")] if snapshot else [])
    drawing.mark(1106, middle + 21, around.database_state)
    back = height - 14
    drawing.line(1069, middle + 56, 1069, back, "edge way-back")
    entry = top + webs * row - 14
    drawing.line(1069, back, 132, back, "edge way-back")
    drawing.line(132, back, 132, entry, "edge way-back")
    drawing.arrow(132, entry, 150, entry, "edge way-back")
    drawing.text(585, back - 6, _("pages read the record: SELECT"), "mono tiny soft", "middle")
    return drawing.svg()


def _narrow(snapshot: Snapshot | None, around: Surroundings) -> Markup:
    clients = web_processes(snapshot, around.pid)[:3]
    workers = (snapshot.workers if snapshot else [])[:MOST]
    rows = (len(workers) + 1) // 2
    group = 16 + 58 * len(clients) + 6 * any(client.role != "web" for client in clients)
    height = 60 + group + 50 + 62 + 54 + rows * 74 + 14 + 125 if snapshot else 60 + group + 112
    drawing = Drawing("system", 343, height, *_words(snapshot, around), layout="narrow")
    drawing.rect(116, 1, 110, 34, "process foreign", 7)
    drawing.text(171, 23, _("browser"), "name", "middle")
    drawing.arrow(171, 35, 171, 60, "edge")
    drawing.text(179, 52, "HTTP", "mono tiny soft")
    drawing.rect(1, 60, 341, 8 + 58 * sum(client.role == "web" for client in clients), "group", 9)
    y = 68
    for client in clients:
        y += 6 if client.role != "web" else 0
        lines = [f"pid {client.pid} · {ngettext('%(num)s pair', '%(num)s pairs', client.pairs)} · {_messages(client.messages)}"]
        drawing.process(10, y, 323, 50, client.role, client.role + " · " + (around.server if client.role == "web" else _("command line")), lines)
        y += 58
    y = 60 + group
    if snapshot is None:
        drawing.rect(1, y + 40, 341, 70, "process absent", 7)
        drawing.text(171, y + 80, _("The pool is not running."), "name soft", "middle")
        return drawing.svg()
    drawing.line(171, y, 171, y + 50, "edge")
    drawing.upright_pair(171, y + 25)
    y += 50
    shape = "attention" if snapshot.state == "stopping" else "good"
    lines = _supervisor_lines(snapshot)
    drawing.process(1, y, 341, 62, "supervisor", f"supervisor {snapshot.supervisor.serial}", [" · ".join(lines[:2]), " · ".join(lines[2:])], state=shape, word=_("stopping") if shape == "attention" else _("running"))
    bottom = y + 62
    y = bottom + 54
    for index, worker in enumerate(workers):
        x, top = 1 + 176 * (index % 2), y + 74 * (index // 2)
        state, word = worker_state(worker)
        if index < 2:
            drawing.line(x + 82, bottom, x + 82, top, "edge")
            drawing.upright_pair(x + 82, bottom + 27)
        drawing.process(x, top, 165, 66, "worker", f"worker {worker.serial}", [f"pid {worker.pid}", _("%(count)s jobs", count=worker.done + worker.failed)], state=state, word=word if len(word) < 9 else _("busy"), href=_worker_href(worker))
    y += rows * 74 + 14
    drawing.object(1, y, 120, 50, _("journal"), [_("%(bytes)s on disk", bytes=size(snapshot.journal.bytes))])
    drawing.arrow(121, y + 25, 177, y + 25, "edge")
    state, word = _recorder(snapshot)
    drawing.process(177, y, 165, 50, "recorder", f"recorder {snapshot.recorder.serial}", [f"pid {snapshot.recorder.pid}"], state=state, word=word)
    drawing.arrow(259, y + 50, 259, y + 78, "edge")
    drawing.object(177, y + 78, 165, 46, around.database, [number(snapshot.recorder.history) + " " + _("rows")])
    drawing.mark(326, y + 93, around.database_state)
    return drawing.svg()
