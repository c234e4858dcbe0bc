"""Pages in a language whose every letter is another one: what is still in Latin letters was never given to gettext."""

from __future__ import annotations

import contextlib
import enum
import re
import sqlite3
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient
from msgspec.structs import replace
from pymysql.err import OperationalError
from sqlalchemy.orm import Session

from pairscope import recorded
from pairscope.client.away import PoolRefused
from pairscope.config import Settings
from pairscope.ipc import payloads
from pairscope.ipc import sentences as ipc
from pairscope.journal.sentences import Stuck
from pairscope.lab import gallery
from pairscope.lab.language import parse
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Run
from pairscope.lab.stage import manager
from pairscope.store import errors, runs
from pairscope.store.cursor import Changed, Known, Row, encode
from pairscope.store.engine import engine
from pairscope.web import sentences
from pairscope.web.application import create_app
from pairscope.web.lab import running
from pairscope.web.problems import Problem, of
from pairscope.web.recorded import translated
from pairscope.work.sentences import Failure
from tests import hour
from tests.plausible import History
from tests.runs import plain
from tests.words import Wide, wide

pytestmark = pytest.mark.web
filled, settings, history = hour.filled, hour.settings, hour.history

NASTY = False
"""Rows that nobody would write hold texts of nobody here (tests/hour.py)."""

_ENGLISH = re.compile(
    r"(?<![\w-])(the|is|are|was|were|not|no|of|to|and|in|it|its|has|have|had|may|cannot|for|with|from|by|at|on|which|that|this|nobody|expected|line)(?![\w-])",
    re.IGNORECASE,
)
_PROGRAM = ("pre", "code", "script", "style", "textarea", "option", "kbd")
_CLASSES = {"mono", "id", "call", "script-panel", "dump", "tokens"}
"""Elements that show a program's text, a scenario or bytes."""
_SAID = ("title", "aria-label", "alt", "placeholder", "aria-description", "data-words")
_VOID = (
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
    "path",
    "line",
    "rect",
    "circle",
)


class Read(HTMLParser):
    """The words of a page that a person reads or hears, each text of an element or an attribute for itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.found += [given[name] or "" for name in _SAID if given.get(name)]
        if tag == "meta" and given.get("name") == "description":
            self.found.append(given.get("content") or "")
        if tag not in _VOID:
            self._open.append((tag, tag in _PROGRAM or bool(_CLASSES & set((given.get("class") or "").split()))))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [given or "" for name, given in attributes if name in _SAID]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(program for _tag, program in self._open):
            self.found.append(" ".join(data.split()))


def english(page: str, *others: str) -> list[str]:
    """Texts of a page that are English; `others` are patterns of what somebody else said, and the page shows as it
    is."""
    texts = {re.sub("|".join(others), "", text) if others else text for text in Read(page).found}
    return sorted(text for text in texts if _ENGLISH.search(text) and re.search(r"[A-Za-z]{2}\W+[A-Za-z]{2}", text))


@pytest.fixture
def site(settings: Settings, history: History, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr("flask_babel.Domain.get_translations", lambda _domain: Wide())
    made = create_app(settings)
    yield made
    made.extensions["pairscope"].close()


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


_VALUES = {
    "line": "3",
    "who": "child",
    "call": "read",
    "last": "write",
    "seconds": "5",
    "text": '"a; b, (c"',
    "host": "127.0.0.1",
    "signal": "SIGKILL",
    "errno": "EAGAIN",
    "protocol": "TCP",
    "kind": "bytes",
    "peer": "web 3 (pid 41875)",
}
"""Values as they come; where no other is given: a number, which every value may be."""


def filled_in(template: str) -> str:
    return template % {name: _VALUES.get(name, "17") for name in recorded._VALUE.findall(template)}


def test_each_sentence_that_is_recorded_is_known_again_with_its_values(site: Flask) -> None:
    with site.test_request_context():
        for template in set(recorded.templates()):
            assert translated(filled_in(template)) == filled_in(wide(template))
        for one, many in recorded.PLURALS:
            assert translated(one % {"num": 1}) == wide(one) % {"num": 1}
            for number in (17, "1,000"):  # a recording may come from anybody
                assert translated(many % {"num": number}) == wide(many) % {"num": number}


def test_each_sentence_that_is_recorded_is_told_to_gettext() -> None:
    told = set(sentences.all_of_them())
    assert {reason.value for reason in Reason} <= told and set(recorded.templates()) <= told
    assert errors.SAID[errors.Kind.ROOM] in told


@pytest.mark.parametrize(
    "parts",
    [
        ("line %(line)s: ", "expected %(wanted)s, observed %(came)s", "; ", "at the end %(why)s"),
        ("%(who)s is blocked in %(call)s", ", ", "%(who)s is blocked in %(call)s and stopped"),
        (
            "expected %(wanted)s, observed %(came)s",
            "; ",
            "expected no error, observed %(came)s",
            "; ",
            "expected %(wanted)s, observed %(came)s",
        ),
        ("what is recorded here cannot be shown: %(why)s",),
        (
            "Too many jobs wait.",
            " ",
            "At most %(most)s may, with at most %(bytes)s bytes together.",
            " ",
            "Alive: %(serials)s.",
        ),
    ],
)
def test_sentences_in_a_row_are_known_each_for_itself(site: Flask, parts: tuple[str, ...]) -> None:
    inner = {
        "why": "nobody: the values of a disk, 3; and more",
        "most": "3",
        "bytes": "9",
        "serials": "1, 2",
        "wanted": '"a, b; c',
        "came": '"a, b" (4 bytes; the call returned 3)',
    }
    given = {**_VALUES, **inner, "wanted": 'iov=["a, b", "c; d"]'}
    with site.test_request_context():
        came = wide("%(text)s (%(count)s bytes; the call returned %(number)s)") % {
            "text": '"a, b"',
            "count": 4,
            "number": 3,
        }
        expected = "".join(wide(part) % {**given, "came": came} for part in parts)
        assert translated("".join(part % given for part in parts)) == expected


def test_a_text_with_more_parts_than_a_sentence_has_is_shown_as_it_was_recorded(site: Flask) -> None:
    known = filled_in(Reason.STATUS.value)
    with site.test_request_context():
        few, many = ("; ".join([known] * count) for count in (2, recorded.JOINTS + 2))
        assert len(many) <= recorded.LONGEST and translated(many) == many
        assert translated(few) != few


def test_what_nobody_here_says_is_shown_as_it_was_recorded(site: Flask) -> None:
    with site.test_request_context():
        for text in (
            "",
            "; , ",
            "Duplicate entry '1, 2; 3' for key (x",
            "line of a poem",
            '"expected 3, observed 4"',
            "line 7: " * 400,
            "x" * 100_000,
        ):
            shown = translated(text)
            assert shown.endswith("line 7: ") if text.startswith("line 7") else shown == text


RECORDS = (
    "through web 1; worker 1 was killed for it",
    "it exceeded its deadline of 0.5 s; its channel was closed for it",
    "worker 2 died with the job in hand: killed by SIGSEGV (core dumped)",
    "lab 1 died with the job in hand: job 300647710720 exceeded its deadline",
    "killed by SIGKILL, for job 300647710720: the pool stopped and waited 5 s for it",
    "killed by SIGKILL, for its fault: result announced 2 descriptors (at most 1), 3 came",
    "web 1 (pid 41875): answer cannot be sent to it: the payload has 17000000 bytes; at most 16777216 can travel",
    "sendmsg to recorder 1 (pid 5): Broken pipe",
    "the supervisor of epoch 3 died while the job was running",
    "its answer cannot be recorded: it is nested deeper than 16 levels",
    "thumbnail has no parameter 'width'; it takes size",
    "the image declares 144,000,000 pixels; at most 120,000,000 are decoded",
    "kcmp orders them (1): two open file descriptions",
)
"""As the processes of a pool record them, put together of several sentences."""


@pytest.mark.parametrize("text", RECORDS)
def test_what_a_pool_records_is_known_again_in_all_its_parts(site: Flask, text: str) -> None:
    with site.test_request_context():
        told = translated(text)
    names = r"\b(SIG[A-Z]+|Broken pipe|web|lab|worker|recorder|result|answer|thumbnail|width|size|pid)\b"
    assert not re.search("[A-Za-z]{2}", re.sub(names, "", told)) and told != text, told


# ---- pages


SHOWN: dict[str, tuple[tuple[type[enum.StrEnum], ...], str, str]] = {
    "a job": (
        (ipc.Undone, Failure),
        "UPDATE jobs SET reason = ?, state = 'failed' WHERE id = ?",
        "SELECT id, '/jobs/' || id FROM jobs WHERE state = 'failed' ORDER BY 1 DESC LIMIT 1",
    ),
    "a worker": (
        (ipc.Gone,),
        "UPDATE processes SET exit = ? WHERE serial = ? AND role = 'worker'",
        "SELECT serial, '/workers/' || serial FROM processes WHERE role = 'worker' AND ended ORDER BY 1 DESC LIMIT 1",
    ),
    "a message": (
        (ipc.Unsent, ipc.Broken),
        "UPDATE messages SET reason = ?, state = 'failed' WHERE id = ?",
        "SELECT id, '/messages/' || id FROM messages ORDER BY 1 DESC LIMIT 1",
    ),
    "a transfer": (
        (ipc.Unproved,),
        "UPDATE transfers SET proof_reason = ?, proof = 'unproved' WHERE message = ?",
        "SELECT message, '/transfers/' || message || '-' || position FROM transfers ORDER BY 1 DESC LIMIT 1",
    ),
}
"""Lists of sentences that a row may hold, how one is put there, and the row's page."""


@pytest.fixture
def rows(settings: Settings, history: History) -> Iterator[sqlite3.Connection]:
    history.commit()
    settings.snapshot.unlink()  # of a living worker the page shows what the supervisor knows
    with contextlib.closing(sqlite3.connect(settings.state / "history.sqlite", isolation_level=None)) as made:
        yield made


@pytest.mark.parametrize("kind", SHOWN)
def test_each_reason_is_translated_on_the_page_of_its_row(
    client: FlaskClient, rows: sqlite3.Connection, kind: str
) -> None:
    lists, put, find = SHOWN[kind]
    identity, path = rows.execute(find).fetchone()
    for reason in (reason.value for reasons in lists for reason in reasons):
        rows.execute(put, (filled_in(reason), identity))
        expected = filled_in(wide(reason))
        page = unescape(client.get(path).text)
        assert expected[:1].upper() + expected[1:] in page or expected in page, reason


def test_a_reason_is_translated_in_each_table(client: FlaskClient, rows: sqlite3.Connection) -> None:
    for _lists, put, find in SHOWN.values():
        rows.execute(put, (ipc.Gone.NOT_WANTED.value, rows.execute(find).fetchone()[0]))
    rows.execute("UPDATE jobs SET output = 5, output_gone = 5, gone_reason = ?", (ipc.Undone.KEPT.say(seconds=60),))
    for name in ("jobs", "messages", "transfers", "workers"):
        page = client.get(f"/{name}", query_string={"q": "state:failed"} if name in ("jobs", "messages") else {}).text
        assert wide("it is no longer wanted") in page and "it is no longer wanted" not in page, name
    job = rows.execute("SELECT id FROM jobs WHERE state = 'done' LIMIT 1").fetchone()[0]
    assert wide("as long as outputs are") in client.get(f"/jobs/{job}").text


def test_a_job_without_a_row_is_told_in_the_language_of_the_page(site: Flask) -> None:
    known = payloads.Known(7, True, "failed", "echo", {}, ipc.Undone.NOT_BEGUN.value)
    with site.test_request_context("/jobs/7"):
        page = render_template("parts/job.html", job=None, id=7, known=known)
    assert english(page) == [] and wide("the pool stopped before it began") in page and wide("failed") in page


def test_a_term_is_translated_where_it_stands_and_where_it_is_explained(client: FlaskClient) -> None:
    page = client.get("/").text
    assert f">{wide('descriptor')}</button>" in page and f"<b>{wide('descriptor')}</b>" in page


def test_what_the_journal_and_the_recorder_wait_for_is_translated_in_the_strip_and_on_the_stack(
    client: FlaskClient, history: History
) -> None:
    said = history.snapshot()
    full = Stuck.NO_GROWTH.say(fault=Stuck.FULL.value)
    history.snapshot(
        journal=replace(said.journal, stuck=full),
        recorder=replace(said.recorder, state="stopped", stalled=ipc.Waits.STOPPED.value),
    )
    for path in ("/", "/stack"):
        page = client.get(path).text
        assert english(page, *RECORDED) == [] and wide("the journal cannot grow: the disk is full") in page, path
        assert wide("a signal has stopped it; SIGCONT lets it go on") in page, path


def run_of(settings: Settings, text: str) -> tuple[str, dict[str, Any]]:
    """The id of a run that really took place, and the run."""
    run = manager.run(parse(text))
    return stored(settings, run), plain(run)


def stored(settings: Settings, run: Run) -> str:
    """The id of the run, which is stored."""
    made = engine(settings.web_url, read_only=False)
    with Session(made) as own:
        identity = runs.store(own, run, keep=100).id
    made.dispose()
    return identity


REFUSED = {
    "a limit": ('m: memfd_create "x" 0 -> f\nm: ftruncate f 2M\n', "may have"),
    "a limit that the kernel told": ("m: pipe -> r w\nm: dup2 r 900\n", "numbers"),
    "reach": ('m: socket AF_INET SOCK_STREAM 0 -> s\nm: connect s "127.0.0.1:9"\n', "no process of this run"),
    "every network": ("m: socket AF_INET SOCK_STREAM 0 -> s\nm: listen s 1\n", "every network"),
    "an expectation": ('m: pipe -> r w\nm: write w "abc" => 4\nm: read r 3 => "a, b; c"\n', "observed"),
    "a deadlock": ("m: pipe -> r w\nm: read r 1\n", "no process can move"),
    "a step that was not made": ('m: pipe -> r w\nm: read r 1\nm: write w "a"\n', "cannot take this step"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_why_a_run_ended_as_it_did_is_translated_where_it_is_shown(
    client: FlaskClient, settings: Settings, kind: str
) -> None:
    text, word = REFUSED[kind]
    identity, run = run_of(settings, text)
    assert word in run["reason"], run["reason"]
    for step in range(len(run["steps"]) + 1):
        page = client.get(f"/lab/runs/{identity}?step={step}").text
        assert english(page) == [] and wide(word) in page, step


def test_what_of_a_row_cannot_be_shown_is_translated_where_it_is_shown(
    client: FlaskClient, settings: Settings, history: History
) -> None:
    history.commit()
    with contextlib.closing(sqlite3.connect(settings.state / "history.sqlite", isolation_level=None)) as table:
        job = table.execute("SELECT id FROM jobs WHERE state = 'done' LIMIT 1").fetchone()[0]
        table.execute("UPDATE jobs SET result = ? WHERE id = ?", ("[" * 990 + "]" * 990, job))
        assert wide("what is recorded here cannot be shown: it is nested") in client.get(f"/jobs/{job}").text
        table.execute("UPDATE processes SET detail = '{no JSON' WHERE role = 'worker'")
        settings.snapshot.unlink()  # of a living worker the page shows what the supervisor knows
        worker = client.get("/workers/1").text
        assert (
            wide("what is recorded here cannot be shown: it is no JSON: ") in worker
            and wide("not in force") not in worker
        )
        table.execute("UPDATE jobs SET size = 'no number' WHERE id = ?", (job,))
        for page in (f"/jobs/{job}", "/jobs"):
            assert wide("expected a whole number") in client.get(page).text


def test_a_database_that_is_away_is_told_in_the_language_of_the_page(
    client: FlaskClient, settings: Settings, history: History
) -> None:
    waits = errors.SAID[errors.Kind.ROOM] % {"words": "Disk full (1021)"}
    history.snapshot(recorder=msgspec.structs.replace(history.snapshot().recorder, state="away", database=waits))
    page = client.get("/").text
    assert (
        wide("the database cannot be used: there is no room left: ") + "Disk full (1021)" in page
        and english(page, *RECORDED) == []
    )
    for made in client.application.extensions["pairscope"]._engines.values():
        made.dispose()
    place = settings.state / "history.sqlite"
    place.rename(place.with_suffix(".away"))
    place.mkdir()  # a file would be made anew
    for path in ("/", "/messages", "/jobs", "/workers", "/database/messages"):
        answer = client.get(path)
        assert (
            answer.status_code in (200, 503)
            and wide("away") in answer.text
            and english(answer.text, "unable to open database file") == []
        )


def test_a_pool_that_is_away_is_told_in_the_language_of_the_page(client: FlaskClient, settings: Settings) -> None:
    page = client.post("/lab/runs", data={"scenario": "one-process"})
    assert page.status_code == 503 and wide("o supervisor listens at ") in page.text and english(page.text) == []


def of_the_gallery() -> list[str]:
    """A scenario is a text of its author, as is a run's."""
    return sorted(
        {
            re.escape(text)
            for entry in gallery.entries()
            for text in (entry.title, entry.ask, entry.notice, entry.quirk)
            if text
        },
        key=len,
        reverse=True,
    )


RECORDED = ("reason=.*",)
"""The payload of a message, as it travelled."""
PAGES = (
    "/", "/messages", "/transfers", "/workers", "/jobs", "/workers/1", "/lab", "/lab/edit", "/lab/compare",
    "/lab/program", "/lab/scenarios/parent-and-child", "/database", "/database/messages",
    "/login", "/nowhere", "/messages/77", "/jobs/5", "/workers/900", "/lab/runs/aaaaaaaaaaaaa", "/lab/scenarios/nope",
)  # fmt: skip


def test_no_page_has_english_that_gettext_was_not_asked_for(client: FlaskClient) -> None:
    paths = [*PAGES]
    for listed, pattern in (
        ("/messages?q=fds:>0", r"/messages/\d+"),
        ("/transfers?q=proof:same", r"/transfers/\d+-\d+"),
        ("/transfers?q=proof:unproved", r"/transfers/\d+-\d+"),
        *((f"/jobs?q=state:{state}", r"/jobs/\d+") for state in ("queued", "running", "done", "failed")),
    ):
        found = re.search(pattern, client.get(listed).text)
        assert found, listed
        paths.append(found[0])
    for path in paths:
        page = client.get(path).text
        assert (
            wide("Messages") in page
            and english(page, *(of_the_gallery() if path.startswith("/lab") else ()), *RECORDED) == []
        ), path


def test_why_something_is_not_shown_and_how_a_caller_ended_are_translated_on_a_runs_page(
    client: FlaskClient, settings: Settings
) -> None:
    identity, run = run_of(
        settings, 'm: socket AF_UNIX SOCK_STREAM 0 -> s\nm: bind s "\\0of a test of words"\nm: listen s 1\nm: exit 3\n'
    )
    assert wide("connections wait here, not bytes") in client.get(f"/lab/runs/{identity}?step=3").text
    assert (
        run["steps"][3]["result"]["ended"] == "exit status 3"
        and wide("exit status") + " 3" in client.get(f"/lab/runs/{identity}?step=4").text
    )


CONFINED: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "all that there is": (
        {"level": "landlock+seccomp", "namespaces": ["user", "network", "IPC"], "missing": []},
        ["Landlock + seccomp", wide("Namespaces of its own"), "user, network, IPC"],
        [wide("Not in force")],
    ),
    "the machine's network": (
        {
            "level": "landlock",
            "namespaces": [],
            "missing": [
                "namespaces of its own: PAIRSCOPE_NAMESPACES is none",
                "seccomp: PAIRSCOPE_SANDBOX is landlock",
            ],
        },
        [wide("Landlock only"), wide("none: it shared the machine's"), wide("Not in force")],
        [],
    ),
    "what an old kernel lacks": (
        {
            "level": "seccomp",
            "namespaces": [],
            "missing": [
                "Landlock ABI 7: does not handle resolve_unix (since ABI 9)",
                "namespaces of its own: an ordinary user may not make a user namespace here: No space left on device",
            ],
        },
        [
            wide("Landlock ABI ") + "7: " + wide("does not handle ") + "resolve_unix",
            wide("an ordinary user may not make a user namespace here: ") + "No space left on device",
        ],
        [],
    ),
    "a run of before": (
        {"level": "seccomp", "missing": []},
        [wide("seccomp only")],
        [wide("Namespaces of its own</button>")],
    ),
    "a file of another shape": (
        {"level": ["x"], "namespaces": "all", "missing": {"a": 1}},
        [wide("not said yet")],
        [wide("Namespaces of its own</button>"), wide("Not in force")],
    ),
    "a file that would be a page": (
        {"level": "<b>", "namespaces": ["<i>", 7, None], "missing": ["<u>", 7]},
        ["&lt;i&gt;", "&lt;u&gt;"],
        ["<i>", "<u>"],
    ),
}
"""What a run says of its sandbox; what its page says then, and what not."""


@pytest.mark.parametrize("kind", CONFINED)
def test_the_page_of_a_run_says_how_it_was_confined_and_what_was_missing(
    client: FlaskClient, settings: Settings, kind: str
) -> None:
    sandbox, said, unsaid = CONFINED[kind]
    run = replace(manager.run(parse("m: pipe -> r w\n")), sandbox=sandbox)
    page = client.get(f"/lab/runs/{stored(settings, run)}?step=1").text
    assert [text for text in said if text not in page] == [] and [text for text in unsaid if text in page] == []
    assert english(page, "No space left on device") == []


NAMES = (r'(?<= )[a-z-]+(, [a-z-]+|, "[a-z ]+")+',)
"""Those of fields and their values, as a filter takes them."""


@pytest.mark.parametrize("query", [
    "kind:nothing", "worker:two", "since:never", "job:\u20261234", "size:huge", "state:odd", "nofield:1", "kind:",
    "kind:task OR worker:2", "kind:task OR kind:result", "kind:task AND worker:2", "kind:>task", '"open', "-",
    "latency:5parsecs",
])  # fmt: skip
def test_what_is_wrong_with_a_filter_is_told_in_the_language_of_the_page(client: FlaskClient, query: str) -> None:
    for name in ("messages", "jobs", "workers", "transfers"):
        page = client.get(f"/{name}", query_string={"q": query})
        assert english(page.text, *RECORDED, *NAMES, f"^{name}") == [], name
        file = client.get(f"/{name}/export.csv", query_string={"q": query})
        assert file.status_code == page.status_code and english(file.text, *RECORDED, *NAMES, f"^{name}") == [], name
    assert client.get("/messages", query_string={"q": query}).status_code == 400


@pytest.mark.parametrize("cursor", ["!", "kwM", encode(Row("jobs", (1,))), encode(Known({0: Changed(1)}))])
def test_what_is_wrong_with_a_cursor_is_told_in_the_language_of_the_page(client: FlaskClient, cursor: str) -> None:
    for path in ("/messages", "/messages/export.csv", "/database/messages"):
        page = client.get(path, query_string={"before": cursor})
        assert page.status_code == 400 and wide("cursor") in page.text and english(page.text) == [], path


def test_the_stack_and_its_guide_are_in_the_language_of_the_page(client: FlaskClient) -> None:
    for path, said in (("/stack", "SQLite takes its place."), ("/stack/guide", "Bring the system up to date")):
        page = client.get(path).text
        assert english(page) == [] and wide(said) in page, path


def test_the_stack_is_english_for_programs_and_in_the_report_to_copy(client: FlaskClient) -> None:
    items = client.get("/api/v1/checks").get_json()["items"]
    assert all(text.isascii() for item in items for text in (item["title"], item["expected"], item["drift"]))
    assert "expected" in client.get("/stack/report.txt").text and client.get("/stack/report.txt").text.isascii()


def test_what_is_wrong_with_a_scenario_is_told_in_the_language_of_the_page(site: Flask) -> None:
    with site.test_request_context("/lab/edit"), pytest.raises(Problem) as caught:
        running.check("p: raed a 1")
    assert caught.value.description == f"1:4: raed; {wide('expected a system call, such as')} read"
    assert caught.value.members["expected"] == "a system call, such as read", "a member is for programs"


def test_why_the_supervisor_refuses_is_told_in_the_language_of_the_page(site: Flask) -> None:
    with site.test_request_context("/jobs"):
        problem = of(PoolRefused("queue-full", "Too many jobs wait. At most 3 may, with at most 9 bytes together."))
        assert problem and problem.description == wide(
            "At most %(most)s may, with at most %(bytes)s bytes together."
        ) % {"most": 3, "bytes": 9}


def test_what_stands_in_the_place_of_a_servers_words_is_told_in_the_language_of_the_page(site: Flask) -> None:
    with site.test_request_context("/jobs"):
        for words in (errors.NOT_ASKED, ""):
            problem = of(OperationalError(2003, words))
            assert problem and problem.description and english(problem.description) == [], problem


def test_what_a_descriptor_refers_to_is_told_in_the_language_of_the_page(client: FlaskClient) -> None:
    page = client.get("/transfers").text
    found = re.search(r"/transfers/\d+-\d+", page)
    assert found and set(re.findall(r'class="object rank2">(\w+)', page)) >= {wide("memfd")}
    assert re.search(rf">\s*{wide('read')}(-{wide('write')})?\s*<", client.get(found[0]).text)
