"""A scenario of the visitor's own: the editor, and a run that was exported elsewhere."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.lab import exports
from pairscope.lab.calls import CALLS, usage
from pairscope.lab.language import TEXT_MAX, format, parse
from pairscope.lab.model import ScenarioError
from pairscope.store import runs
from pairscope.web import reach
from pairscope.web.access import operator_required, reader_required
from pairscope.web.lab import running
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.upload import receive, takes_upload

BEGINNING = """@title My scenario

parent: socketpair AF_UNIX SOCK_STREAM 0 -> sv0 sv1
parent: fork -> child
parent: write sv0 "hello" => 5
child: read sv1 16 => "hello"
"""


@blueprint.get("/lab/edit")
@reader_required
def edit() -> Any:
    """The editor, with a scenario of the gallery, the text of a run, or a beginning."""
    parent = ""
    if name := request.args.get("scenario"):
        text = running.scenario_text(name)
    elif id := request.args.get("run"):
        text, parent = runs.opened(running.find(id)).text, id
    else:
        text = format(parse(BEGINNING))
    return editor_page(text, parent=parent)


def editor_page(text: str, problem: Problem | None = None, parent: str = "") -> Any:
    """The editor with a text; what is wrong with it is found here if it is not given."""
    if problem is None:
        try:
            running.check(text)
        except Problem as found:
            problem = found
    page = render_template(
        "lab_edit.html",
        text=text,
        problem=problem,
        where=problem.members if problem else {},
        bad_line=_line(text, problem),
        values=_values(),
        parent=parent,
        most=TEXT_MAX,
        calls=[(usage(call), _(call.summary), call.manual) for call in CALLS.values()],
        may_write=running.may_write(),
        section="pages.lab",
    )
    return page, 400 if problem and request.method == "POST" else 200


def _values() -> list[tuple[str, str]]:
    """What can stand in a line, by example."""
    return [
        ("128  0x10  0644  -1  1K", _("numbers")),
        ('"a\\0b"  "x" * 70000  x"00ff"', _("texts, repeated texts, bytes")),
        ("MSG_PEEK|MSG_DONTWAIT", _("constants")),
        ('iov=["it is", " a test"] fds=[a, b]', _("lists, as named arguments of sendmsg and recvmsg")),
        ("-> sv0 sv1", _("names for the descriptors or the process that the call made")),
        ('=> 17  => "text"  => 6 "text"  => EAGAIN  => blocks  => ok', _("what is expected")),
        ("=> ok flags=MSG_CTRUNC fds=2 status=0 killed=SIGPIPE revents=POLLHUP value=1", _("and more of it")),
        ('child: (read returns) => ""', _("what a call that had blocked gave")),
    ]


def _line(text: str, problem: Problem | None) -> str:
    """The line that a problem is about."""
    if problem is None or "line" not in problem.members:
        return ""
    lines = text.splitlines()
    at = problem.members["line"] - 1
    return lines[at][:200] if 0 <= at < len(lines) else ""


def formatted(text: str) -> str:
    """The text in canonical form, or as it is where it is no scenario."""
    try:
        return format(parse(text))
    except ScenarioError:
        return text


@blueprint.post("/lab/open")
@takes_upload
@operator_required
def open_run() -> Any:
    """Stores a run that was exported elsewhere as JSON; nothing is run."""
    with receive(request) as upload:
        if upload is None:
            raise Problem("bad-request", _("No file was sent; expected a run that was exported as JSON."))
        with open(f"/proc/self/fd/{upload.fd}", "rb") as file:
            try:
                found = exports.load(file.read(exports.LOAD_MAX + 1))
            except exports.NoRun as error:
                raise Problem(
                    "wrong-run", _("%(name)s is no run: %(why)s", name=upload.name, why=translated(error.args[0]))
                ) from None
    row = runs.store(reach.own(), found, keep=reach.settings().lab_runs)
    return redirect(url_for("pages.run", id=row.id, step=1), 303)
