"""The overview: the running system, one thing to do, what has just happened, and where to go on."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.live import figures
from pairscope.store import queries
from pairscope.store.filter import parse
from pairscope.store.models import PACE_SECONDS
from pairscope.web import reach
from pairscope.web.access import reader_required
from pairscope.web.drawing import chart, system
from pairscope.web.pages.jobs import catalogue, chosen_kind
from pairscope.web.pages.routes import blueprint
from pairscope.web.shell import listing, strip
from pairscope.web.shell.guard import drawn
from pairscope.web.tables import MESSAGES
from pairscope.web.words import number, size

LAST = 12
MINUTES = 10


class Row(NamedTuple):
    """One line of the drawing's table."""

    role: str
    name: str
    serial: int
    pid: int
    shape: str
    word: str
    count: str  # type: ignore[assignment]  # hides tuple.count(), which nobody asks


@blueprint.get("/")
@reader_required
def overview() -> Any:
    """The whole at a glance: who runs, what crosses, how fast."""
    recent = listing.read(reach.history(), MESSAGES, parse("", "messages"), None, None, LAST)
    crossed = queries.page(reach.history(), "transfers", parse("", "transfers"), limit=1).rows
    points = rates()
    return render_template(
        "overview.html",
        **system_context(),
        **rates_context(points),
        catalogue=catalogue(),
        chosen_kind=chosen_kind(),
        last_transfer=crossed[0] if crossed else None,
        table=MESSAGES,
        rows=recent.rows,
        limit=LAST,
        empty=_("Nothing has crossed yet. Send a file above: its messages appear here by themselves."),
        live_url=url_for("live.overview"),
        live_cursor=recent.cursor,
        live_seen=f"strip:{strip.signature()},system:{system_signature()},rates:{rates_signature(points)}",
    )


def system_context() -> dict[str, Any]:
    """The drawing and its table."""
    snapshot, around = reach.snapshot(), strip.surroundings()
    rows = [Row("", around.server, 0, around.pid, "good", _("answers"), "")]
    live = figures.read(reach.settings())
    for web in system.web_processes(snapshot, around.pid):
        if web.role == "live" and live is not None:
            continue  # it says more of itself, below
        pairs = ngettext("%(num)s pair", "%(num)s pairs", web.pairs)
        rows.append(
            Row(
                web.role,
                "",
                0,
                web.pid,
                "good",
                _("connected") if web.pairs else _("no pair yet"),
                f"{pairs}, {_messages(web.messages)}",
            )
        )
    if snapshot:
        rows.append(
            Row(
                "supervisor",
                "",
                snapshot.supervisor.serial,
                snapshot.supervisor.pid,
                "good",
                _("stopping") if snapshot.state == "stopping" else _("running"),
                _("%(count)s descriptors", count=snapshot.supervisor.fds),
            )
        )
        for worker in snapshot.workers:
            rows.append(
                Row(
                    "worker",
                    "",
                    worker.serial,
                    worker.pid,
                    *system.worker_state(worker),
                    _("%(done)s done, %(failed)s failed", done=number(worker.done), failed=number(worker.failed)),
                )
            )
        recorder = snapshot.recorder
        rows.append(
            Row(
                "recorder",
                "",
                recorder.serial,
                recorder.pid,
                *system.recorder_state(recorder),
                _("%(count)s behind", count=number(recorder.lag)),
            )
        )
        unread = snapshot.unread
        rows.append(
            Row(
                "",
                _("unread"),
                0,
                0,
                "attention" if unread.bytes or unread.fds else "good",
                _("%(bytes)s of at most %(most)s wait", bytes=size(unread.bytes), most=size(unread.bytes_all)),
                _(
                    "%(fds)s of at most %(most)s descriptors, %(peers)s peers let go",
                    fds=number(unread.fds),
                    most=number(unread.fds_all),
                    peers=number(unread.let_go),
                ),
            )
        )
        rows.append(
            Row(
                "",
                _("journal"),
                0,
                0,
                "good",
                _("%(bytes)s on disk", bytes=size(snapshot.journal.bytes)),
                _("position %(position)s", position=number(snapshot.journal.position)),
            )
        )
    if live is not None:
        followed = ngettext("%(num)s viewer", "%(num)s viewers", live.viewers)
        bounds = _(
            "at most %(most)s, %(each)s of one address; %(slow)s slow ones let go, %(refused)s sent away",
            most=number(live.most),
            each=number(live.each),
            slow=number(live.ends.get("slow", 0)),
            refused=number(live.ends.get("full", 0) + live.ends.get("crowd", 0)),
        )
        crossed = _(
            "%(count)s connections handed over by Apache, of which %(recorded)s are transfers in the record",
            count=number(live.handed),
            recorded=number(live.recorded),
        )
        rows.append(Row("live", "", 0, live.pid, "good", followed, f"{bounds}; {crossed}"))
    rows.append(
        Row(
            "",
            around.database,
            0,
            0,
            around.database_state,
            _("answers") if around.database_state != "failed" else _("away"),
            _("%(count)s rows", count=number(snapshot.recorder.history)) if snapshot else "",
        )
    )
    return {"system_drawing": drawn(system.draw, snapshot, around), "system_rows": rows}


def system_signature() -> int:
    """Another number when the drawing would be another one."""
    snapshot = reach.snapshot()
    if snapshot is None:
        return 0
    shown = (
        snapshot.state,
        snapshot.epoch,
        snapshot.supervisor,
        [
            (
                worker.serial,
                worker.pid,
                worker.standing,
                worker.kind,
                worker.done,
                worker.failed,
                worker.in_flight,
                worker.sandbox,
            )
            for worker in snapshot.workers
        ],
        system.web_processes(snapshot, 0),
        (snapshot.recorder.pid, snapshot.recorder.state, snapshot.recorder.lag, snapshot.recorder.history),
        (snapshot.jobs.queued, snapshot.jobs.running, snapshot.journal.bytes, snapshot.unread),
        strip.surroundings()._replace(pid=0),
        (live := figures.read(reach.settings())) and (live.pid, live.viewers, live.ends),
    )
    return strip.digest(shown)


def rates() -> list[chart.Point]:
    """Messages per second and latencies of the last minutes."""
    return [
        chart.Point(pace.at, pace.messages / PACE_SECONDS, pace.p50, pace.p99)
        for pace in queries.rates(reach.history(), MINUTES)
    ]


def rates_context(points: list[chart.Point]) -> dict[str, Any]:
    """The charts and their table."""
    return {"rates_drawing": drawn(chart.draw, points), "rates_points": points}


def rates_signature(points: list[chart.Point]) -> int:
    """What changes when the chart of rates does."""
    return strip.digest(points)


def _messages(count: int) -> str:
    return ngettext("%(count)s message", "%(count)s messages", count, count=number(count))
