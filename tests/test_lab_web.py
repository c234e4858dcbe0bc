"""The lab's pages and API, with real runs through a real pool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy.orm import Session

from pairscope.lab import gallery
from pairscope.lab.run import Run as Recorded
from pairscope.lab.stage import manager
from pairscope.store import runs
from pairscope.store.engine import engine
from pairscope.store.migrate import upgrade
from pairscope.store.models import Run
from pairscope.web.lab import bytes as panes
from pairscope.web.lab import running
from pairscope.web.lab.reading import Reading
from tests import plausible
from tests.eventually import eventually
from tests.running import PROJECT, TOKEN, Server
from tests.running import running as a_server

pytestmark = [pytest.mark.pool, pytest.mark.web]

OWN = """@title Two of a kind
p: pipe -> out in
p: write in "abc" => 3
p: read out 10 => "abc"
"""


@pytest.fixture
def lab(server: Server) -> Server:
    """The server with a station that waits."""
    eventually(lambda: "No lab station" not in server.get("/lab").text, "a station of the lab is connected", 20)
    return server


def ran(lab: Server, name: str) -> str:
    """The id of a run of a scenario of the gallery."""
    answer = lab.post("/api/v1/lab/runs", {"scenario": name}, TOKEN)
    assert answer.status == 201, answer.detail
    assert answer.json["verdict"] == "held", answer.text[-2000:]
    return answer.json["id"]


# ---- running


def test_a_stranger_runs_a_scenario_of_the_gallery_and_lands_at_its_first_step(lab: Server) -> None:
    answer = lab.form("/lab/runs", scenario="parent-and-child")
    assert answer.status == 303 and re.search(r"/lab/runs/[a-z0-9]{13}\?step=1$", answer.headers["Location"])
    page = lab.get(answer.headers["Location"])
    assert page.status == 200 and "socketpair" in page.text and "made 3, 4" in page.text


def test_a_text_of_ones_own_needs_an_operator(lab: Server) -> None:
    assert lab.post("/api/v1/lab/runs", {"text": OWN}).status == 401
    answer = lab.post("/api/v1/lab/runs", {"text": OWN}, TOKEN)
    assert answer.status == 201 and answer.json["verdict"] == "held" and answer.json["title"] == "Two of a kind"
    assert [step["call"] for step in answer.json["run"]["steps"]] == ["pipe", "write", "read"]


def test_what_is_no_scenario_is_refused_with_line_and_column(lab: Server) -> None:
    answer = lab.post("/api/v1/lab/runs", {"text": "p: pipe -> a b\np: raed a 1\n"}, TOKEN)
    assert answer.status == 400 and (answer.json["line"], answer.json["column"]) == (2, 4) and "raed" in answer.detail
    page = lab.form("/lab/runs", text="p: raed a 1\n")
    assert page.status == 400 and "1:4" in page.text and "raed a 1" in page.text


@pytest.mark.parametrize("body", [{}, {"text": OWN, "scenario": "one-process"}, {"scenario": 7}, {"nothing": 1}])
def test_a_request_for_a_run_that_does_not_fit_is_refused(lab: Server, body: dict) -> None:
    assert lab.post("/api/v1/lab/runs", body, TOKEN).status == 400


def test_a_scenario_that_there_is_not_is_unknown(lab: Server) -> None:
    assert lab.post("/api/v1/lab/runs", {"scenario": "nothing"}).detail.startswith(
        "No scenario of the gallery is named 'nothing'; there are: "
    )
    assert lab.get("/lab/scenarios/nothing").status == 404
    assert lab.get("/lab/runs/aaaaaaaaaaaaa").status == 404


def test_a_failed_expectation_is_told_at_its_step(lab: Server) -> None:
    answer = lab.post("/api/v1/lab/runs", {"text": OWN.replace("=> 3", "=> 4")}, TOKEN)
    assert answer.status == 201 and answer.json["verdict"] == "failed"
    page = lab.get(f"/lab/runs/{answer.json['id']}")
    assert "expected 4, observed 3" in page.text and 'data-number="2"' in page.text, "it opens at the step that failed"
    assert (
        re.search(
            r'<p class="reason"><a href="[^"]+step=2#line-4">line 4</a> <span class="soft">\(step 2\)</span>: '
            r"expected 4, observed 3",
            page.text,
        )
        and 'id="line-4"' in page.text
    )
    landed = lab.form("/lab/runs", {"Authorization": f"Bearer {TOKEN}"}, text=OWN.replace("=> 3", "=> 4"))
    assert landed.headers["Location"].endswith("step=2")


def test_the_messages_and_the_descriptors_of_a_run_stand_in_the_record(lab: Server) -> None:
    identity = ran(lab, "one-process")
    job = lab.get(f"/api/v1/lab/runs/{identity}").json["job"]

    def recorded() -> list[dict] | None:
        found = lab.get(f"/api/v1/transfers?q=job:{job}").json["items"]
        return found if len(found) >= 3 else None

    moved = eventually(recorded, "the scenario's descriptor and the run's are in the record", 10)
    assert {(item["kind"], item["sender"]["role"], item["receiver"]["role"]) for item in moved} >= {
        ("submit", "web", "supervisor"),
        ("task", "supervisor", "lab"),
    }


def test_a_stranger_who_runs_too_much_is_told_to_wait_and_an_operator_is_not(tmp_path: Path) -> None:
    with a_server(tmp_path) as alone:  # all tests have one address: the others' runs must not be counted, nor refused
        eventually(lambda: "No lab station" not in alone.get("/lab").text, "a station of the lab is connected", 20)
        said = [alone.post("/api/v1/lab/runs", {"scenario": "one-process"}) for _ in range(running.MOST + 1)]
        assert said[-1].status == 429 and said[-1].headers["Retry-After"] and "within a minute" in said[-1].detail
        assert ran(alone, "one-process")


RACE = """@title Two readers
m: socketpair AF_UNIX SOCK_STREAM 0 -> a b
m: fork -> p
m: fork -> q
p: read a 8 => blocks
q: read a 8 => blocks
m: write b "hello"
m: close b
"""


def test_an_open_step_is_marked_and_those_behind_it_are_said_to_follow_it(lab: Server) -> None:
    identity = lab.post("/api/v1/lab/runs", {"text": RACE}, TOKEN).json["id"]
    page = lab.get(f"/lab/runs/{identity}?step=6").text
    assert (
        "p and q wait at a; which of them gets what comes is the kernel&#39;s choice. Another run may give "
        "another outcome." in page
    )
    assert "It follows step 6, which is open" in lab.get(f"/lab/runs/{identity}?step=7").text
    assert "open-step" not in lab.get(f"/lab/runs/{identity}?step=6&predict=1").text, "it is told with the outcome"


def test_many_runs_give_each_outcome_with_its_count(lab: Server) -> None:
    operator = {"Authorization": f"Bearer {TOKEN}"}
    identity = lab.post("/api/v1/lab/runs", {"text": RACE}, TOKEN).json["id"]
    page = lab.form("/lab/often", operator, run=identity)
    assert page.status == 200 and "20 runs." in page.text
    counts = [int(count) for count in re.findall(r'<tr><td class="num">(\d+)</td>', page.text)]
    assert sum(counts) == 20
    assert '<span class="state good">as expected</span>' in page.text
    assert len(counts) > 1 or "Step 6 is open all the same" in page.text
    assert lab.form("/lab/often", run=identity).status == 401, "a text of one's own needs an operator"
    assert lab.form("/lab/often", operator).status == 400


def test_a_stranger_has_a_scenario_run_many_times_twice_a_minute(lab: Server) -> None:
    answers = [lab.form("/lab/often", scenario="one-process") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429] and "All came to the same." in answers[0].text
    assert answers[2].headers["Retry-After"]


# ---- reading


@pytest.mark.parametrize("entry", gallery.entries(), ids=lambda entry: entry.name)
def test_every_moment_of_every_scenario_has_its_page(lab: Server, entry: gallery.Entry) -> None:
    identity = ran(lab, entry.name)
    count = lab.get(f"/api/v1/lab/runs/{identity}").json["step_count"]
    for step in range(0, count + 1, max(1, count // 4)):
        for more in ("", "&predict=1"):
            page = lab.get(f"/lab/runs/{identity}?step={step}{more}")
            assert page.status == 200 and f'data-number="{step}"' in page.text
    lab.get(f"/lab/scenarios/{entry.name}")
    assert lab.get(f"/lab/runs/{identity}?step={count + 1}").status == 400


def test_predict_first_hides_what_a_step_gives_until_it_is_asked_for(lab: Server) -> None:
    identity = ran(lab, "parent-and-child")
    hidden = lab.get(f"/lab/runs/{identity}?step=6&predict=1").text
    shown = lab.get(f"/lab/runs/{identity}?step=6&predict=2").text
    assert "What will it give?" in hidden and "= 17" not in hidden
    assert "What will it give?" not in shown and "= 17" in shown
    assert "step=7&amp;predict=1" in shown, "the next step is to be predicted, too"


def test_in_predict_first_nothing_tells_what_is_still_to_come(lab: Server) -> None:
    """Neither the title and the verdict, nor a hatched span or a return in the timeline, nor a line of the text; in a
    frame of another site, too."""
    identity = ran(lab, "parent-and-child")
    spans = {"1&predict=1": 0, "6&predict=2": 0, "7&predict=1": 0, "7&predict=2": 1, "8&predict=1": 1, "0&predict=1": 0}
    for kind in ("runs", "embed"):
        for step, count in spans.items():
            page = lab.get(f"/lab/{kind}/{identity}?step={step}").text
            timeline = page[page.index("timeline-title") :]
            assert (
                timeline.count("hatched span") == count
                and "(read" not in page
                and "mark good" not in timeline.partition("</svg>")[0]
            ), step
            assert (
                '<span class="t-actor">child:</span> <span class="veil" title="hidden: predict first">=&gt; ?<' in page
            ), step
            assert "each closing the end of the other" not in page and 'state good">as expected<' not in page, step
        page = lab.get(f"/lab/{kind}/{identity}?step=11&predict=2").text
        assert "each closing the end of the other" in page and 'state good">as expected<' in page, "all is predicted"


def test_a_run_is_kept_when_it_is_shared_and_shown_in_frames_of_other_sites(lab: Server) -> None:
    identity = ran(lab, "one-process")
    assert lab.form(f"/lab/runs/{identity}/share", step="2").status == 303
    page = lab.get(f"/lab/runs/{identity}?step=2")
    assert "kept for good" in page.text and "&lt;iframe" in page.text
    frame = lab.get(f"/lab/embed/{identity}?step=2")
    assert 'rel="icon"' in frame.text, "a browser asks for /favicon.ico otherwise"
    assert "frame-ancestors *" in frame.headers["Content-Security-Policy"] and "X-Frame-Options" not in frame.headers
    assert "frame-ancestors &#39;none&#39;" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"


def test_two_runs_stand_side_by_side_and_the_same_one_differs_nowhere(lab: Server) -> None:
    first, second = ran(lab, "parent-and-child"), ran(lab, "parent-and-child")
    assert "11 of 11 steps gave and changed the same" in lab.get(f"/lab/compare?a={first}&b={second}").text
    other = ran(lab, "one-process")
    assert "differs" in lab.get(f"/lab/compare?a={first}&b={other}").text


def test_steps_that_only_name_things_otherwise_gave_the_same_and_another_size_is_another_one(lab: Server) -> None:
    renamed = OWN.replace("p:", "writer:").replace("out", "mouth")
    larger = OWN.replace('"abc" => 3', '"x" * 1500')
    ids = [
        lab.post("/api/v1/lab/runs", {"text": text}, TOKEN).json["id"]
        for text in (OWN, renamed, larger, larger.replace("1500", "1600"))
    ]
    text = lab.get(f"/lab/compare?a={ids[0]}&b={ids[1]}").text
    assert "3 of 3 steps gave and changed the same. 3 of these are written otherwise." in text and "differs" not in text
    assert "1 of 3 steps gave and changed the same." in lab.get(f"/lab/compare?a={ids[2]}&b={ids[3]}").text


@pytest.mark.parametrize("form", ["c", "python", "transcript", "json"])
def test_a_run_is_exported_in_every_form(lab: Server, form: str) -> None:
    identity = ran(lab, "a-file-handed-over")
    for address in (f"/lab/runs/{identity}/export/{form}", f"/api/v1/lab/runs/{identity}/export/{form}"):
        answer = lab.get(address)
        assert answer.status == 200 and "sendmsg" in answer.text
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=a-file-handed-over")
    assert lab.get(f"/lab/runs/{identity}/export/cobol").status == 404


# ---- what is kept


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Session]:
    settings = plausible.settings_in(tmp_path)
    upgrade(settings)
    made = engine(settings.web_url, read_only=False)
    with Session(made) as session:
        yield session
    made.dispose()


def played(name: str) -> Recorded:
    return manager.run(gallery.scenario(name))


def test_the_oldest_runs_go_and_shared_ones_stay(own: Session) -> None:
    run = played("one-process")
    rows = [runs.store(own, run, keep=3).id for _ in range(2)]
    assert runs.share(own, rows[0]) and not runs.share(own, "nobodys")
    rows += [runs.store(own, run, keep=3).id for _ in range(4)]
    left = {row.id for row in runs.newest(own, 100)}
    assert left == {rows[0], *rows[3:]}
    assert runs.opened(own.get_one(Run, rows[0])) == run


def test_runs_are_counted_by_who_asked(own: Session) -> None:
    run = played("one-process")
    for who in ("192.0.2.1", "192.0.2.1", "192.0.2.2", ""):
        runs.store(own, run, keep=100, asked_by=who)
    assert runs.recent(own, "192.0.2.1", 60) == 2 and runs.recent(own, "192.0.2.3", 60) == 0


# ---- the reading itself


def test_a_blocked_span_reaches_from_the_call_to_the_step_that_released_it() -> None:
    (blocked,) = Reading(played("parent-and-child")).blocks
    assert (blocked.actor, blocked.call, blocked.first, blocked.last) == ("child", "read", 7, 8)


def test_every_byte_of_a_control_message_belongs_to_one_field() -> None:
    run = Reading(played("a-file-handed-over"))
    step = next(step for step in run.steps if step.call == "recvmsg")
    control = next(pane for pane in panes.panes(step) if pane.title.startswith("Control buffer"))
    covered = sorted((field.offset, field.length, field.name) for field in control.fields)
    assert [name for _at, _length, name in covered] == ["cmsg_len", "cmsg_level", "cmsg_type", "fd[0]", "padding"]
    at = 0
    for offset, length, _name in covered:
        assert offset == at
        at += length
    assert at == len(control.data) == 24


def test_the_screenshots_take_a_run_of_the_lab_also_where_none_was_made(lab: Server) -> None:
    """As script/screenshots chooses its pages."""
    loader = SourceFileLoader("screenshots", str(PROJECT / "script" / "screenshots"))
    module = ModuleType(loader.name)
    module.__file__ = loader.path
    loader.exec_module(module)
    pages = module.pages(lab.address.rstrip("/"))
    assert re.fullmatch(r"/lab/runs/[a-z0-9]{13}\?step=4", pages["lab-run"])
    assert all(lab.get(pages[name]).status == 200 for name in ("lab-run", "lab-run-predicted", "lab-compare"))
