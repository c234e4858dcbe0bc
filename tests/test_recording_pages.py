"""A recording of a real program read for people, and its pages: docs/recorder.md, "The pages"."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pairscope.store import recordings
from pairscope.store.migrate import upgrade
from pairscope.trace import lines
from pairscope.trace.choosing import Wrong, chosen
from pairscope.trace.file import NoRecording, Recording, Writer
from pairscope.trace.reading import Reading
from pairscope.trace.recording import Counts, Delta, Passage, Process, Queue, Step
from pairscope.web import application
from pairscope.web.recording.alone import create_app
from tests import plausible
from tests.browser import chromium
from tests.eventually import eventually
from tests.test_browser_access import COMBINATIONS, wrong

APP = Path(__file__).parent.parent / "app"
KEY = "a-key"
NOTHING = Counts(0, 0, 0, 0, 0, 0, 0, 0)
PROGRAM = """
import os, socket
mine, other = socket.socketpair()
if not os.fork():
    _, fds, _, _ = socket.recv_fds(other, 100, 4)
    os.write(fds[0], b"hello <b>")
    os._exit(3)
r, w = os.pipe()
socket.send_fds(mine, [b"take"], [w, r])
print(os.read(r, 10).decode())
try:
    socket.socket(socket.AF_UNIX).connect("/nothing/here")
except OSError:
    pass
os.wait()
"""


def step(call: str, process: int = 1, *, given: Any = None, gave: Any = None, **more: Any) -> Step:
    return Step(0, process, 100 + process, call, given or {}, gave if gave is not None else {"value": 0}, **more)


def written(
    path: Path, steps: list[Step], passages: list[Passage] | None = None, names: tuple[str, ...] = ("a", "b")
) -> Path:
    writer = Writer(str(path))
    for one in steps:
        writer.add(one)
    writer.finish(
        command=["made", "<b>by hand</b>"], kernel="6", machine="x86_64", started=1.0, took_us=5,
        ended="the last process has ended", kept=0, missing=[], counts=NOTHING, passages=passages or [],
        processes=[Process(100 + number, name, 0, 0) for number, name in enumerate(names, 1)],
    )  # fmt: skip
    writer.close()
    return path


@contextlib.contextmanager
def read(path: Path) -> Iterator[Reading]:
    with Recording(str(path)) as recording:
        yield Reading(recording)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of PROGRAM."""
    path = tmp_path_factory.mktemp("recorded") / "program.rec"
    command = [sys.executable, "-m", "pairscope", "record", "-o", str(path), "--bytes", "64", "--"]
    done = subprocess.run(
        [*command, os.path.realpath(sys.executable), "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "hello <b>\n", done.stderr
    return path


class Site:
    """``pairscope show``, as it was started."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def get(self, path: str, host: str = "") -> tuple[int, str]:
        asked = urllib.request.Request(self.address + path if "://" not in path else path)
        if host:
            asked.add_header("Host", host)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextlib.contextmanager
def shown(*paths: Path) -> Iterator[Site]:
    command = [sys.executable, "-m", "pairscope", "show", *map(str, paths)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(APP)}, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/(compare)?", address), address
        try:
            yield Site(process, address)
        finally:
            process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def site(recorded: Path) -> Iterator[Site]:
    with shown(recorded) as found:
        yield found


# ---- reading


def test_what_waits_polls_and_repeats_is_folded_and_a_passage_never_is(tmp_path: Path) -> None:
    steps = [
        step("execve", given={"path": {"bytes": 2, "head": b"/x"}}, gave={"errno": "ENOENT"}),
        step("execve"),
        step("epoll_wait", gave={}, blocked=True),
        step("epoll_wait", of=3),
        step("recvmsg", gave={"errno": "EAGAIN"}),
        step("close", given={"fd": 3}),
        step("close", given={"fd": 4}),
        step("sendmsg", given={"fd": 5}),
        step("sendmsg", given={"fd": 5}),
        step("recvmsg", 2, given={"fd": 6}),
    ]
    passages = [
        Passage(1, 7, 8, "pipe:[9]", "received", 2, 8, 10, "both"),
        Passage(1, 7, 9, "pipe:[9]", "received", 2, 9, 10, "both"),
    ]
    with read(written(tmp_path / "r", steps, passages)) as reading:
        assert [number for number, row in enumerate(reading.rows, 1) if row.folded] == [1, 3, 5, 7]
        assert reading.row(6).equal == 1
        assert reading.passed == [8, 9, 10]
        assert reading.failed == []  # what is folded is no error that somebody looks for
        assert reading.row(10).received == 2


def test_a_call_that_waits_is_known_from_its_entry_until_its_return(tmp_path: Path) -> None:
    steps = [
        step("read", gave={}, blocked=True),
        step("write", 2),
        step("read", of=1),
        step("read", gave={}, blocked=True),
    ]
    with read(written(tmp_path / "r", steps)) as reading:
        asleep = [[(wait.process, wait.first, wait.last) for wait in reading.asleep(number)] for number in range(5)]
    assert asleep == [[], [(1, 1, 3)], [(1, 1, 3)], [], [(1, 4, None)]]


def test_a_process_has_the_table_that_its_own_calls_change(tmp_path: Path) -> None:
    link = "socket:[5]"
    steps = [
        step("socket", changed=Delta({1: {3: link}}, {})),
        step("clone", gave={"value": 102, "process": 2}, changed=Delta({7: {3: link}}, {})),
        step("close", 2, given={"fd": 3}, changed=Delta({7: {3: None}}, {})),
        step("clone", given={"flags": 0x400}, gave={"value": 103, "process": 3}),
    ]
    with read(written(tmp_path / "r", steps, names=("a", "b", "c"))) as reading:
        assert reading.rows_of(2, reading.state(2), 2) == {3: link}
        assert reading.rows_of(2, reading.state(3), 3) == {}
        assert reading.rows_of(1, reading.state(3), 3) == {3: link}
        assert reading.rows_of(3, reading.state(4), 4) == {3: link}, "it shares its parent's, CLONE_FILES"


@pytest.mark.parametrize("wrong", [step("read", 9), step("read", of=5)], ids=["process", "step"])
def test_a_step_that_names_what_is_not_there_is_told_in_a_sentence(tmp_path: Path, wrong: Step) -> None:
    path = written(tmp_path / "r", [wrong])
    with pytest.raises(NoRecording, match="names a step or a process that it has not"), read(path):
        pass


FILTERED = [
    step("sendmsg", given={"fd": 3, "on": "socket:[44]"}),
    step("connect", 2, given={"address": b"/run/Some.sock", "on": "socket:[45]"}, gave={"errno": "ENOENT"}),
    step("recvmsg", 3, given={"fd": 4, "on": "socket:[44]"}, gave={"errno": "EAGAIN"}),
    step("close", 3, given={"fd": 4, "on": "/memfd:x"}),
]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", [1, 2, 3, 4]),
        ("call:SENDMSG", [1]),
        ("process:worker", [2, 3, 4]),
        ("process:worker#2", [3, 4]),
        ("process:102", [2]),
        ("fds:>0", [1]),
        ("fds:2", [1]),
        ("fds:<1", [2, 3, 4]),
        ("object:44", [1, 3]),
        ("object:memfd", [4]),
        ("object:4", []),
        ("error", [2, 3]),
        ("error:EAGAIN", [3]),
        ("some.SOCK", [2]),
        ('"= -1"', [2, 3]),
        ("error process:worker#2", [3]),
        ('"error"', []),
    ],
)
def test_a_filter_leaves_the_steps_for_which_all_its_words_hold(tmp_path: Path, text: str, steps: list[int]) -> None:
    passages = [Passage(1, 7, 1, "pipe:[9]", "in flight"), Passage(1, 8, 1, "pipe:[9]", "in flight")]
    names = ("master", "worker", "worker#2")
    with read(written(tmp_path / "r", FILTERED, passages, names)) as reading:
        assert chosen(reading, text) == steps


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour:red", "unknown word in the filter: colour:; expected one of call, process, fds, object, error"),
        ("fds:many", "fds:many is no number; expected such as fds:2 or fds:>0"),
        ('call:close "open', 'a quotation mark is not closed in the filter: "open'),
        ("x" * 501, "the filter has 501 letters; expected at most 500"),
    ],
)
def test_a_wrong_filter_is_told_with_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "r", FILTERED, names=("a", "b", "c"))
    with read(path) as reading, pytest.raises(Wrong) as raised:
        chosen(reading, text)
    assert str(raised.value.args[0]) == said


RIGHTS = {"cmsg_len": 24, "level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": [5, 4]}


@pytest.mark.parametrize(
    ("one", "call", "outcome"),
    [
        (
            step(
                "sendmsg",
                given={"fd": 3, "flags": 0x4000, "control": [RIGHTS], "iov": [{"bytes": 4, "head": b"take"}]},
                gave={"value": 4},
            ),
            'sendmsg(3, ["take"], SCM_RIGHTS [5, 4], MSG_NOSIGNAL)',
            "= 4",
        ),
        (
            step(
                "recvmsg",
                given={"fd": 3, "flags": 0, "iov": [100], "control": 32},
                gave={"value": 4, "received": {"control": [RIGHTS]}},
            ),
            "recvmsg(3, [100], control=32, 0)",
            "= 4  SCM_RIGHTS [5, 4]",
        ),
        (
            step("socketpair", given={"domain": 1, "type": 524289, "protocol": 0}, gave={"value": 0, "made": [3, 4]}),
            "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0)",
            "= 0  [3, 4]",
        ),
        (
            step("write", given={"fd": 1, "data": {"bytes": 900}}, gave={"errno": "EPIPE"}),
            "write(1, <900 B>)",
            "= -1 EPIPE",
        ),
        (
            step("wait4", given={"process": -1, "options": 1}, gave={"value": 7, "wait": 9}),
            "wait4(-1, WNOHANG)",
            "= 7  killed SIGKILL",
        ),
        (
            step("read", of=1, gave={"value": 2, "data": {"bytes": 2, "head": b"\n\0"}}),
            "<... read resumed>",
            '= 2  "\\n\\000"',
        ),
        (
            step("epoll_ctl", given={"fd": 9, "operation": 1, "target": 4, "events": 0x80000001, "data": 7}),
            "epoll_ctl(9, EPOLL_CTL_ADD, 4, EPOLLIN|EPOLLET, 7)",
            "= 0",
        ),
        (step("signal", gave={"signal": "SIGHUP"}), "--- SIGHUP ---", ""),
        (step("exit", gave={"status": 3}), "+++ exit +++", "status 3"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_step_is_told_as_strace_would(one: Step, call: str, outcome: str) -> None:
    assert (lines.call(one), lines.outcome(one)) == (call, outcome)


STRANGE: list[Any] = [
    None,
    True,
    -(1 << 63),
    1.5,
    "x" * 4096,
    b"\xff" * 4096,
    [],
    [[[[[[[1]]]]]]],
    {"bytes": "many", "head": 3},
    {"fds": "none"},
    {"cmsg_len": 1, "type": 5},
    [{"fds": [None, "x", {}]}] * 99,
    {"a" * 64: {"b": {"c": {"d": {"e": {"f": 1}}}}}},
]


@pytest.mark.parametrize("value", STRANGE, ids=lambda one: type(one).__name__)
def test_whatever_a_file_says_that_a_call_was_given_is_one_short_line(tmp_path: Path, value: Any) -> None:
    keys = (
        "fd",
        "flags",
        "control",
        "iov",
        "data",
        "path",
        "on",
        "type",
        "signal",
        "level",
        "made",
        "received",
        "wait",
        "process",
        "errno",
        "revents",
        "messages",
        "value",
        "status",
    )
    steps = [
        step(call, given=dict.fromkeys(keys, value), gave={key: value})
        for call in ("sendmsg", "setsockopt", "clone", "exit", "signal", "poll")
        for key in keys
    ]
    with read(written(tmp_path / "r", steps)) as reading:
        assert all(len(row.line) < 3 * lines.MOST and row.line.count("\n") == 0 for row in reading.rows)
        client = page_of(reading)
        for number in range(1, len(steps) + 1, 7):
            assert client(f"/{KEY}/steps/{number}")[0] == 200


# ---- the pages


def page_of(reading: Reading) -> Any:
    """Asks the application of a recording, without a server."""
    from werkzeug.test import Client

    client = Client(create_app(reading, "made.rec", KEY))

    def get(path: str, **headers: str) -> tuple[int, str]:
        answer = client.get(path, headers={"Host": "localhost"} | headers)
        return answer.status_code, answer.text

    return get


@pytest.mark.web
def test_what_a_program_is_called_and_carries_cannot_write_on_the_page(tmp_path: Path) -> None:
    bad = "<script>x</script>\u202e"
    steps = [
        step("write", given={"fd": 3, "data": {"bytes": 9, "head": b"<i>\x1b[2J"}, "on": f"/{bad}"}, gave={"value": 9}),
        step("sendmsg", given={"fd": 4, "on": "socket:[3]"}, changed=Delta({1: {4: f"/{bad}"}}, {3: Queue(8, 1, 1)})),
    ]
    passages = [Passage(1, 5, 2, f"/{bad}", "in flight")]
    with read(written(tmp_path / "r", steps, passages, names=(bad, bad))) as reading:
        get = page_of(reading)
        for path in ("", "steps/0", "steps/1", "steps/2", "steps/2?q=%3Cscript%3E"):
            status, text = get(f"/{KEY}/{path}")
            assert status == 200
            assert "<script>x" not in text and "<i>" not in text and "\u202e" not in text and "\x1b" not in text, path


@pytest.mark.web
@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("steps/3", 404, "There is no step 3; this recording has 2."),
        (f"steps/{'9' * 5000}", 404, "There is nothing to show here"),
        ("?from=x", 400, "The first one is &#39;x&#39;; expected a number below 1."),
        ("steps/1?q=fds:x", 200, "fds:x is no number; expected such as fds:2 or fds:&gt;0"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_sentence(tmp_path: Path, path: str, status: int, said: str) -> None:
    with read(written(tmp_path / "r", [step("read"), step("close")])) as reading:
        answer = page_of(reading)(f"/{KEY}/{path}")
    assert answer[0] == status and said in answer[1], answer


@pytest.mark.web
def test_it_answers_to_its_own_key_and_to_names_of_loopback_alone(tmp_path: Path) -> None:
    with read(written(tmp_path / "r", [step("read")])) as reading:
        get = page_of(reading)
        assert get(f"/{KEY}/")[0] == 200
        assert get(f"/{KEY}/", Host="evil.example")[0] == 400
        for path in ("/", "/steps/1", f"/{KEY}x/", f"/{KEY}", "/static/lab.js"):
            assert get(path) == (404, ""), path


@pytest.mark.process
def test_a_recording_opens_with_its_passages_and_each_leads_to_its_steps(site: Site) -> None:
    status, text = site.get("")
    assert status == 200
    row = re.search(r'<tr><td class="num">1</td>.*?</tr>', text, re.DOTALL)
    assert row and "a duplicate" not in row[0].partition("both numbers")[0]
    sent, came = map(int, re.findall(r'steps/(\d+)"', row[0]))
    status, text = site.get(f"steps/{sent}")
    assert "sendmsg(" in text and "SCM_RIGHTS" in text and "descriptor" in text
    status, text = site.get(f"steps/{came}")
    assert "sent as" in text and f"at step {sent}" in text and "is sent" not in text
    status, text = site.get(f"steps/{came + 1}?q=hello")
    assert "&#34;hello &lt;b&gt;&#34;" in text


@pytest.mark.process
def test_a_transcript_tells_every_step_as_strace_would_on_the_page_and_by_the_command(
    site: Site, recorded: Path
) -> None:
    status, text = site.get("transcript")
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "record", "--transcript", str(recorded)],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (status, done.returncode, done.stdout) == (200, 0, text), done.stderr
    with Recording(str(recorded)) as recording:
        assert text.count("\n") == recording.steps
    (sent,) = (line for line in text.splitlines() if "SCM_RIGHTS" in line and "sendmsg(" in line)
    assert re.fullmatch(r'\[pid +\d+\] \d+\.\d{6} sendmsg\(\d+, \["take"\], SCM_RIGHTS \[\d+, \d+\], 0\) = 4', sent), (
        sent
    )
    assert re.search(r"\+\+\+ exit \+\+\+ status 3", text)


@pytest.mark.process
@pytest.mark.parametrize("option", ["--passages", "--transcript", "--capture"])
def test_what_reads_a_recording_takes_no_command_and_says_so(recorded: Path, option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "record", option, str(recorded), "--", "true"],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and f"{option} reads a recording; it takes no command" in done.stderr, done.stderr
    assert done.stdout == ""


@pytest.mark.process
def test_another_path_of_the_server_is_not_there(site: Site) -> None:
    root = site.address[: site.address.index("/", 8)]
    assert site.get(f"{root}/steps/1") == (404, "")
    assert site.get("steps/1", host="evil.example")[0] == 400


@pytest.mark.process
def test_a_file_that_is_no_recording_and_a_port_that_is_taken_are_told_in_a_sentence(
    recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").write_bytes(b"PSREC 2\nand so on")

    def said(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pairscope", "show", *words]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stderr

    status, text = said(str(tmp_path / "none"))
    assert status == 2 and "is no recording: it has no end" in text and "Traceback" not in text
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, text = said("--port", str(port), str(recorded))
    assert status == 1 and f"it cannot listen on port {port}" in text and "Traceback" not in text


# ---- handed in by operators


OPERATOR = {"Authorization": "Bearer operator-token"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = plausible.settings_in(tmp_path / "state")
    upgrade(settings)
    made = application.create_app(settings)
    yield made
    made.extensions["pairscope"].close()


def handed_in(app: Flask, path: Path) -> str:
    """The address of a recording that an operator has handed in."""
    form = {"file": (io.BytesIO(path.read_bytes()), path.name)}
    answer = app.test_client().post("/lab/recordings", data=form, headers=OPERATOR)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


@pytest.mark.web
def test_an_operator_hands_in_a_recording_and_others_see_it_only_when_it_is_shared(app: Flask, tmp_path: Path) -> None:
    path = written(tmp_path / "made.rec", FILTERED, [Passage(1, 7, 1, "pipe:[9]", "in flight")], ("a", "b", "c"))
    address = handed_in(app, path)
    stranger = app.test_client()
    pages = (address, f"{address}/steps/1", f"{address}/transcript", f"{address}/file")
    for page in pages:
        assert app.test_client().get(page, headers=OPERATOR).status_code == 200, page
        assert stranger.get(page).status_code == 404, page
    assert "made" not in stranger.get("/lab/recordings").text.partition("<main")[2].partition("pairscope record")[0]
    assert stranger.post(f"{address}/share", data={"shared": "1"}).status_code == 401
    shared = app.test_client().post(f"{address}/share", data={"shared": "1"}, headers=OPERATOR)
    assert shared.status_code == 303
    for page in pages:
        assert stranger.get(page).status_code == 200, page
    assert "&lt;b&gt;by hand&lt;/b&gt;" in stranger.get("/lab/recordings").text
    assert stranger.get(f"{address}/file").data == path.read_bytes()
    assert "socket:[44]" in stranger.get(f"{address}/steps/1?q=object:44").text
    app.test_client().post(f"{address}/share", data={"shared": ""}, headers=OPERATOR)
    assert stranger.get(address).status_code == 404
    app.test_client().post(f"{address}/delete", headers=OPERATOR)
    assert app.test_client().get(address, headers=OPERATOR).status_code == 404


@pytest.mark.web
def test_what_is_no_recording_is_refused_in_a_sentence_and_not_kept(app: Flask, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", FILTERED, names=("a", "b", "c")).read_bytes()
    client = app.test_client()
    wrong = {
        "text": (b"no recording", "it does not begin as a recording of format 2 does"),
        "cut": (whole[:-9], "it has no end"),
        "flipped": (whole[:20] + bytes([whole[20] ^ 255]) + whole[21:], "a part of it is damaged"),
    }
    for name, (data, said) in wrong.items():
        answer = client.post("/lab/recordings", data={"file": (io.BytesIO(data), name)}, headers=OPERATOR)
        assert answer.status_code == 400 and f"{name} is no recording: {said}" in answer.text, answer.text
    assert client.post("/lab/recordings", headers=OPERATOR).status_code == 400
    assert "There is none yet." in client.get("/lab/recordings", headers=OPERATOR).text


@pytest.mark.web
def test_of_the_recordings_that_nobody_has_shared_the_newest_are_kept(app: Flask, tmp_path: Path) -> None:
    path = written(tmp_path / "made.rec", FILTERED, names=("a", "b", "c"))
    first, second = handed_in(app, path), handed_in(app, path)
    app.test_client().post(f"{first}/share", data={"shared": "1"}, headers=OPERATOR)
    for _ in range(recordings.KEEP):
        handed_in(app, path)
    assert app.test_client().get(first).status_code == 200, "a shared one is kept for good"
    assert app.test_client().get(second, headers=OPERATOR).status_code == 404


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium(1440, 900) as found:
        yield found


@pytest.mark.browser
def test_from_a_passage_one_steps_back_and_forth_by_the_keyboard(site: Site, browser: Chrome) -> None:
    browser.get(site.address)
    link = browser.find_element(By.CSS_SELECTOR, ".passages a")
    sent = int(link.text)
    link.click()
    number = "[data-lab-run]"

    def here() -> int:
        return int(browser.find_element(By.CSS_SELECTOR, number).get_attribute("data-number") or 0)

    eventually(lambda: here() == sent, "the step of its sending")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    eventually(lambda: here() > sent, "the next one")
    assert f"steps/{here()}" in browser.current_url
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)
    eventually(lambda: here() == sent, "and back")
    assert not [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]


@pytest.mark.browser
def test_assistive_technology_a_finger_and_the_keyboard_alone_can_use_each_page(site: Site, browser: Chrome) -> None:
    sent = re.findall(r'steps/(\d+)"', site.get("")[1])[1]
    found = []
    ways = [combination for combination in COMBINATIONS if not combination[2]]
    for path, (width, scheme, inside) in zip(("", f"steps/{sent}", f"steps/{sent}?q=fds:x", "steps/99999"), ways):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        look = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", look)
        browser.get(site.address + path)
        found += wrong(browser, path, (width, scheme, inside))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
    assert not found, "\n".join(found)


@pytest.mark.browser
def test_without_a_script_a_recording_is_stepped_through_by_links(site: Site) -> None:
    with chromium(375, 800, script=False) as plain:
        plain.get(site.address)
        plain.find_element(By.CSS_SELECTOR, ".passages a").click()
        first = plain.current_url
        plain.find_element(By.CSS_SELECTOR, "[data-next]").click()
        assert plain.current_url != first
        plain.find_element(By.CSS_SELECTOR, "[data-key=ArrowLeft]").click()
        assert plain.current_url == first
        plain.find_element(By.CSS_SELECTOR, ".timeline-scroll a").click()
        assert "/steps/" in plain.current_url
