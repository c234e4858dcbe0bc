"""`/lab/program`: the editor, who may run a program, and the way from Run to a step. docs/programs.md, "The editor"."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from pairscope.lab import exports, gallery
from pairscope.lab.exports.lines import result_lines
from pairscope.lab.language import parse
from pairscope.lab.stage import manager
from pairscope.pool.snapshot import WorkerView
from pairscope.program import collection
from pairscope.program.collection import ENTRIES
from pairscope.program.sentences import Unrun
from pairscope.store.migrate import upgrade
from pairscope.trace.recording import SOURCE_MOST
from pairscope.web import application
from pairscope.web.lab import programs
from tests import plausible
from tests.boxed import boxed
from tests.browser import chromium
from tests.eventually import eventually
from tests.programmed import written
from tests.running import TOKEN, Answer, Server
from tests.runs import plain, typed
from tests.test_browser_access import COMBINATIONS, wrong
from tests.test_program_collection import SAYS
from tests.test_recording_pages import OPERATOR, handed_in

PASSED = {"passed-descriptor": 1, "passed-listener": 1}
"""Descriptors that a program of the collection passes; of the others none does."""
IN_CI = {("passed-listener", "c"), ("preforked", "c"), ("passed-descriptor", "python")}
EACH = [(entry, language) for entry in ENTRIES for language in collection.SUFFIXES]
FAULTY = "#include <unistd.h>\nint main(void)\n{\n    int unused;\n    return missing\n}\n"
HOSTILE = "</textarea><script>x</script>\u202e\n"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    yield from made(tmp_path)


def made(at: Path, **settings: Any) -> Iterator[Flask]:
    found = plausible.settings_in(at / "state", **settings)
    upgrade(found)
    app = application.create_app(found)
    yield app
    app.extensions["pairscope"].close()


def source_in(text: str) -> str:
    """What stands in the editor."""
    found = re.search(r'<textarea id="source"[^>]*>\n(.*?)</textarea>', text, re.DOTALL)
    assert found
    return unescape(found[1])


# ---- without a pool


@pytest.mark.web
def test_a_stranger_reads_the_collection_and_learns_that_only_operators_may_run_it(app: Flask) -> None:
    stranger = app.test_client()
    page = stranger.get("/lab/program").text
    assert source_in(page) == collection.find("parent-and-child").source("c")  # type: ignore[union-attr]
    for entry in ENTRIES:
        assert str(entry.title) in unescape(page) and str(entry.look) in unescape(page)
        for language, suffix in collection.SUFFIXES.items():
            shown = stranger.get(f"/lab/program?example={entry.name}&language={language}").text
            assert source_in(shown) == entry.source(language), suffix
    answer = stranger.post("/lab/program", data={"language": "c", "source": "int main(void) {}"})
    assert answer.status_code == 401
    assert "no program &#39;nothing&#39;; there are: pair, " in stranger.get("/lab/program?example=nothing").text


@pytest.mark.web
def test_where_no_station_is_connected_nothing_is_run_and_the_page_says_so(app: Flask) -> None:
    client = app.test_client()
    assert "no lab station is connected to the pool" in client.get("/lab/program", headers=OPERATOR).text
    form = {"language": "python", "source": "print(1)\n"}
    answer = client.post("/lab/program", data=form, headers=OPERATOR)
    assert answer.status_code == 400 and "It cannot be run: no lab station" in answer.text
    assert source_in(answer.text) == "print(1)\n", "it is still there"


@pytest.mark.web
def test_a_program_put_in_the_place_of_one_of_the_collection_does_not_get_its_name(app: Flask) -> None:
    source = collection.find("parent-and-child").source("c")  # type: ignore[union-attr]
    for text, kept in ((source, True), (source.replace("text", "buffer"), True), (FAULTY, False)):
        form = {"language": "c", "source": text, "name": "parent-and-child"}
        page = app.test_client().post("/lab/program", data=form, headers=OPERATOR).text
        assert ('name="name" value="parent-and-child"' in page) == kept, text
        assert ("The child&#39;s last read" in page.partition('id="collection"')[0]) == kept, text


@pytest.mark.web
def test_programs_that_are_switched_off_are_not_offered(tmp_path: Path) -> None:
    for app in made(tmp_path, lab_programs="off"):
        page = app.test_client().get("/lab/program", headers=OPERATOR).text
        assert "programs are switched off here (lab_programs)" in page
        assert re.search(r'<button class="primary" disabled[^>]*>Run</button>', page)
        form = {"language": "python", "source": "print(1)\n"}
        assert app.test_client().post("/lab/program", data=form, headers=OPERATOR).status_code == 400


@pytest.mark.web
@pytest.mark.parametrize(
    ("detail", "said", "offered"),
    [
        ({"programs": "", "compiler": ""}, "", True),
        ({"programs": "", "compiler": str(Unrun.NO_COMPILER)}, "apt-get install gcc libc6-dev", True),
        ({"programs": str(Unrun.NO_BOX.say(why="no <b>"))}, "apart from everything: no &lt;b&gt;", False),
        ({"programs": 7, "compiler": [1]}, "", True),
        ({}, "", True),
    ],
    ids=["all", "no compiler", "no namespaces", "strange", "silent"],
)
def test_what_a_station_says_that_it_cannot_do_is_not_offered(
    app: Flask, monkeypatch: pytest.MonkeyPatch, detail: dict[str, Any], said: str, offered: bool
) -> None:
    class Snapshot:
        stations = [WorkerView(1, 7, "idle", 0, 0, detail=detail)]

    with app.test_request_context("/lab/program"):
        monkeypatch.setattr("pairscope.web.lab.programs.reach.snapshot", Snapshot)
        standing = programs.offer()
    assert (not standing.none) == offered
    assert said == "" or unescape(said) in unescape(standing.none + standing.no_c)
    monkeypatch.undo()
    monkeypatch.setattr("pairscope.web.pages.program.programs.offer", lambda: standing)
    page = app.test_client().get("/lab/program", headers=OPERATOR).text
    assert said in page
    assert bool(re.search(r'value="c"[^>]* disabled', page)) == bool(standing.no_c)
    if standing.no_c:
        assert source_in(page).startswith("# A parent"), "it begins with what can be run"


@pytest.mark.web
@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"language": "c", "source": " \n"}, "There is no source; expected a program in C or in Python."),
        ({"language": "perl", "source": "1"}, "The language is 'perl'; expected c or python."),
        (
            {"language": "python", "source": "x" * (SOURCE_MOST + 1)},
            "The source has 65537 characters; expected at most",
        ),
        ({"language": "python", "source": "1", "arguments": "'a"}, "The arguments are 'a; expected words as a shell"),
        ({"language": "python", "source": "1", "arguments": "a " * 65}, "It cannot be run: "),
        ({"language": "python", "source": "a\0"}, "hold no NUL; expected text"),
        ({"language": "python", "source": HOSTILE, "arguments": '"' + HOSTILE, "input": HOSTILE}, "The arguments are"),
    ],
)
def test_what_is_no_program_comes_back_to_the_editor_with_a_sentence(app: Flask, form: Any, said: str) -> None:
    answer = app.test_client().post("/lab/program", data=form, headers=OPERATOR)
    assert answer.status_code == 400 and said in unescape(answer.text), answer.text[:3000]
    assert "<script>x" not in answer.text
    if len(form["source"]) <= SOURCE_MOST and "\0" not in form["source"]:
        assert source_in(answer.text) == form["source"]


@pytest.mark.web
def test_the_program_of_a_recording_fills_the_editor_for_whoever_may_see_it(app: Flask, tmp_path: Path) -> None:
    address = handed_in(app, written(tmp_path / "made.c.rec"))
    id = address.rpartition("/")[2]
    mine, stranger = app.test_client(), app.test_client()
    page = mine.get(f"/lab/program?recording={id}", headers=OPERATOR).text
    assert "int unused;" in source_in(page) and "--flag &#39;&lt;i&gt;&#39;" in page and "a line" in page
    assert stranger.get(f"/lab/program?recording={id}").status_code == 404
    command = handed_in(app, written(tmp_path / "command.rec", None)).rpartition("/")[2]
    assert mine.get(f"/lab/program?recording={command}", headers=OPERATOR).status_code == 404
    assert f"/lab/program?recording={id}" in mine.get(f"{address}/steps/2", headers=OPERATOR).text


@pytest.mark.web
def test_each_scenario_of_the_gallery_fills_the_editor_as_c(app: Flask) -> None:
    client = app.test_client()
    for name in gallery.names():
        text = source_in(client.get(f"/lab/program?scenario={name}").text)
        assert "int main(void)" in text and len(text) <= SOURCE_MOST
        assert f"/lab/program?scenario={name}" in client.get(f"/lab/scenarios/{name}").text
    assert client.get("/lab/program?scenario=nope").status_code == 404


# ---- with one


def post(server: Server, token: str = TOKEN, **form: str) -> Answer:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", "/lab/program", urllib.parse.urlencode(form).encode(), kind, token)


@pytest.mark.web
@pytest.mark.pool
@pytest.mark.needs("gcc")
def test_a_program_is_run_stored_and_stepped_and_a_stranger_sees_it_when_it_is_shared(server: Server) -> None:
    source = collection.find("passed-descriptor").source("c")  # type: ignore[union-attr]
    answer = post(server, language="c", source=source.replace("\n", "\r\n"), name="passed-descriptor")
    assert answer.status == 303, answer.text
    step = answer.headers["Location"]
    first = step.partition("/steps/")[0]
    page = server.get(step, TOKEN).text
    marked = re.findall(r'<li data-number="(\d+)" class="here" aria-current="location"', page)
    assert len(marked) == 1 and "socketpair" in source.splitlines()[int(marked[0]) - 1]
    page = server.get(first, TOKEN).text
    assert "descriptor 4: written by the child" in page and "received 1 +" in page
    assert "passed-descriptor.c" in page and "warning" not in page.partition("<main")[2]
    assert server.get(f"{first}/source", TOKEN).text == source
    assert server.get(first).status == server.get(step).status == 404
    assert server.request("POST", f"{first}/share", b"shared=1", {"Content-Type": FORM}, TOKEN).status == 303
    assert server.get(step).status == 200
    assert "passed-descriptor.c" in server.get("/lab/recordings").text


FORM = "application/x-www-form-urlencoded"


@pytest.mark.web
@pytest.mark.pool
def test_arguments_and_standard_input_reach_the_program_and_what_it_wrote_is_shown(server: Server) -> None:
    source = "import sys\nprint(sys.argv[1:], sys.stdin.read())\nprint('<i>', file=sys.stderr)\n"
    answer = post(server, language="python", source=source, arguments="--flag 'two words'", input="a line\r\n")
    assert answer.status == 303, answer.text
    page = unescape(server.get(answer.headers["Location"].partition("/steps/")[0], TOKEN).text)
    assert "['--flag', 'two words'] a line\n" in page and "<i>" in page and "program.py" in page


@pytest.mark.web
@pytest.mark.pool
@pytest.mark.needs("gcc")
def test_what_the_compiler_says_stands_at_its_lines_above_the_program(server: Server) -> None:
    answer = post(server, language="c", source=FAULTY)
    assert answer.status == 400 and source_in(answer.text) == FAULTY
    assert "It was not compiled; see what the compiler says." in answer.text
    said = answer.text.partition('id="problem"')[2].partition("</ol>")[0]
    lines = dict(re.findall(r'<li data-number="(\d+)"( class="here")?', said))
    assert [line for line, here in lines.items() if here] == ["4", "5"]
    fifth = said.partition('data-number="5"')[2].partition("</li>")[0]
    assert "return missing" in fifth and "state failed" in fifth and "undeclared" in fifth
    assert "state attention" in said.partition('data-number="4"')[2].partition("</li>")[0]


@pytest.mark.process
@pytest.mark.needs("gcc", "python3")
@pytest.mark.parametrize(
    ("entry", "language"),
    [
        pytest.param(entry, language, id=f"{entry.name}-{language}", marks=[] if one else [pytest.mark.long])
        for entry, language in EACH
        for one in [(entry.name, language) in IN_CI]
    ],
)
def test_a_program_of_the_collection_is_recorded_with_its_lines_and_passages(
    entry: collection.Entry, language: collection.Language
) -> None:
    run = boxed(entry.source(language), language=language)
    said, status = SAYS[entry.name]
    assert said in run.out and not run.index.program.remarks
    assert run.index.processes[0].status == status
    passages = [one for one in run.index.passages if one.end == "received"]
    assert len(passages) == len(run.index.passages) == PASSED.get(entry.name, 0)
    assert all(one.proof for one in passages)
    assert any(step.line for step in run.steps)


TEXTBOOK = Path(__file__).parent / "programs/textbook"


@pytest.mark.process
@pytest.mark.needs("gcc")
@pytest.mark.parametrize(
    ("name", "said", "ended", "passages"),
    [
        ("pair", "read: SOCKET PAIR TEST.\n", "the last process has ended", []),
        ("messages", "sent 100, got 100: it is a test\n", "the last process has ended", []),
        ("control", "truncated: yes\n", "the last process has ended", ["dropped"]),
        ("forever", "child got: message 0\n", "the bound of 100 steps is reached", []),
    ],
)
def test_a_program_as_textbooks_have_it_is_stepped_by_line_and_ends(
    name: str, said: str, ended: str, passages: list[str]
) -> None:
    run = boxed((TEXTBOOK / f"{name}.c").read_text(), steps=100)
    assert said in run.out and run.index.ended == ended
    assert [one.end for one in run.index.passages] == passages
    calls = [step for step in run.steps if step.call in ("socketpair", "sendmsg", "recvmsg", "read", "clone")]
    assert calls and all(step.line for step in calls), [(step.call, step.line) for step in calls]


@pytest.mark.process
@pytest.mark.needs("gcc")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "nginx-channel" else [pytest.mark.long])
        for name in gallery.names()
        if name != "credentials"
    ],
)
def test_a_scenario_gives_in_the_box_as_c_what_the_lab_saw(name: str) -> None:
    scenario = parse(gallery.text(name))
    run = boxed(exports.c(scenario))
    assert run.out.splitlines() == result_lines(typed(plain(manager.run(scenario))))
    assert any(step.line for step in run.steps) and not run.index.program.remarks


# ---- in a browser


def log_in(browser: Chrome, server: Server) -> None:
    browser.get(f"{server.address}login")
    browser.find_element(By.NAME, "token").send_keys(TOKEN)
    browser.find_element(By.CSS_SELECTOR, "main button.primary").click()
    eventually(lambda: "/login" not in browser.current_url, "logged in")


@pytest.mark.web
@pytest.mark.pool
@pytest.mark.browser
@pytest.mark.needs("gcc")
@pytest.mark.leaves("the renderers of a browser outlive a test")
def test_from_run_to_a_step_without_a_script_on_a_phone(server: Server) -> None:
    with chromium(375, 800, script=False) as browser:
        log_in(browser, server)
        browser.get(f"{server.address}lab/program")
        browser.find_element(By.CSS_SELECTOR, 'a[aria-label="A pair in one process, in C"]').click()
        text = browser.find_element(By.ID, "source")
        assert text.get_attribute("value") == collection.find("pair").source("c")  # type: ignore[union-attr]
        text.clear()
        text.send_keys(FAULTY)
        browser.find_element(By.CSS_SELECTOR, ".program-form .primary").click()
        eventually(
            lambda: browser.find_elements(By.CSS_SELECTOR, "#problem li.here .failed"), "the error at its line", 30
        )
        text = browser.find_element(By.ID, "source")
        text.clear()
        text.send_keys(FAULTY.replace("missing", 'write(1, "hello\\\\n", 6) != 6;'))
        browser.find_element(By.CSS_SELECTOR, ".program-form .primary").click()
        eventually(lambda: "/steps/" in browser.current_url, "the step", 30)
        here = browser.find_element(By.CSS_SELECTOR, "li.here[aria-current=location]")
        assert here.get_attribute("data-number") == "5"
        assert "written to standard output" in browser.page_source


@pytest.mark.web
@pytest.mark.pool
@pytest.mark.browser
@pytest.mark.needs("gcc")
@pytest.mark.leaves("the renderers of a browser outlive a test")
def test_the_editor_and_its_errors_can_be_used_by_everybody_at_each_width(server: Server) -> None:
    found: list[str] = []
    with chromium(1440, 900) as browser:
        log_in(browser, server)
        for way in (one for one in COMBINATIONS if one in ((1440, "light", True), (375, "dark", True))):
            size = {"width": way[0], "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            look = {"features": [{"name": "prefers-color-scheme", "value": way[1]}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", look)
            browser.get(f"{server.address}lab/program")
            if way[1] == "dark":
                browser.execute_script("document.querySelector('#source').value = arguments[0]", FAULTY)
                browser.find_element(By.CSS_SELECTOR, ".program-form .primary").click()
                eventually(lambda: browser.find_elements(By.CSS_SELECTOR, "#problem li.here .failed"), "its errors", 30)
            found += wrong(browser, "the editor", way)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= way[0], way
            bottom = "return document.querySelector('.program-form .primary').getBoundingClientRect().bottom"
            browser.get(f"{server.address}lab/program")
            assert browser.execute_script(bottom) <= 900, "Run is in sight, however long the source is"
        for _ in range(2):
            done = post(server, language="python", source="1\n", name="a-long-name-of-a-program", arguments="word " * 9)
            assert done.status == 303, done.text
        browser.get(f"{server.address}lab/recordings")
        assert len(browser.find_elements(By.TAG_NAME, "select")) == 2
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 375, "two to compare"
        assert not [
            one for one in browser.get_log("browser") if one["level"] == "SEVERE" and " 400 " not in one["message"]
        ]
    assert not found, "\n".join(found)
