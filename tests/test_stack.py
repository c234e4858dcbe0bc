"""The stack: one source for guides, provisioning and checks; what the checks find, and how drift is told."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pairscope.config import Settings, embedded
from pairscope.lamp import box
from pairscope.pool.snapshot import WorkerView
from pairscope.program.sentences import Lacking, Unrun
from pairscope.stack import checks, guides, scoreboard, system
from pairscope.stack.check import CHECKS, Scene
from pairscope.stack.step import Verdict
from pairscope.store.engine import Away, engine
from pairscope.store.migrate import upgrade
from pairscope.web.checks import PRIVATE
from tests.database import MariaDB
from tests.plausible import History
from tests.programs import hardened
from tests.refusing import refusing_relay
from tests.running import Server
from tests.test_cli import one_sentence, run

ROOT = Path(__file__).parent.parent
PROVISION = ROOT / "deploy" / "provision.sh"


# ---- one source


@pytest.mark.parametrize("path", sorted(guides.generated(), key=str), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_generated_is_what_the_steps_say_today(path: Path):
    assert path.read_text() == guides.generated()[path], "run: python -m pairscope.stack.guides"


def test_the_guides_blocks_are_the_steps_commands_in_their_order():
    found = [
        block
        for name in ("README.md", "apache/README.md", "mysql/README.md")
        for block in guides.commands((guides.DEPLOY / name).read_text())
    ]
    assert found == [guides.shown(step.commands) + "\n" for chapter in guides.CHAPTERS for step in chapter.steps]


def test_every_step_says_what_for_and_what_one_should_see_and_notes_on_other_systems_say_that_they_were_not_run():
    steps = [step for chapter in guides.CHAPTERS for step in chapter.steps]
    assert len({step.id for step in steps}) == len(steps) >= 25
    for step in steps:
        assert step.purpose and step.see and step.wrong and step.done and step.title and not step.title.endswith(".")
        assert bool(step.unless) == bool(step.leave), step.id
        assert step.elsewhere == () or "not run here" in guides.chapter_text(
            next(c for c in guides.CHAPTERS if step in c.steps)
        )


@pytest.mark.parametrize("name", ["steps.sh", "provision.sh", "unprovision.sh", "vagrant.sh", "pairscope.sh"])
@pytest.mark.process
def test_the_shell_of_the_provisioning_is_shell(name: str):
    done = subprocess.run(["sh", "-n", ROOT / "deploy" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_step_of_the_guide_has_a_check_and_every_check_a_step():
    known = {step.id for chapter in guides.CHAPTERS for step in chapter.steps}
    assert {step for _chapter, step, _command, _look in CHECKS} - {""} == known


def test_what_the_advice_of_a_step_that_is_left_out_names_was_installed_before_by_one_that_never_is():
    steps = [step for chapter in guides.CHAPTERS for step in chapter.steps]
    for number, step in enumerate(steps):
        for program in re.findall(r"\((\w+) allow", step.leave):
            assert any(
                re.search(rf"apt-get -y install .*\b{program}\b", before.commands) and not before.leave
                for before in steps[:number]
            ), (step.id, program)


@pytest.mark.parametrize("protects", ["strict", "full", "no"])
@pytest.mark.process
def test_a_drop_in_is_written_where_apaches_service_is_read_only_and_nowhere_else(tmp_path: Path, protects: str):
    """The step's own shell, on a directory of ours and with a systemctl that answers. script/fresh-test --hardened
    tries it under systemd."""
    drop_in, asked = (
        tmp_path / "etc" / "systemd" / "system" / "apache2.service.d" / "pairscope.conf",
        tmp_path / "asked",
    )
    steps = (
        (ROOT / "deploy" / "steps.sh")
        .read_text()
        .replace("/etc/systemd/", f"{tmp_path}/etc/systemd/")
        .replace("/opt/pairscope/code/", f"{ROOT}/")
    )
    (tmp_path / "steps.sh").write_text(steps)
    said = f"""
since() {{ grep -q restart {asked}; }}
systemctl() {{
    case "$*" in *ProtectSystem*) echo {protects};; *NeedDaemonReload*) echo no;; *) echo "$*" >> {asked};; esac
}}
. {tmp_path}/steps.sh
done_apache_places; echo $?; do_apache_places; echo $?; done_apache_places; echo $?
"""
    done = subprocess.run(["sh", "-c", said], capture_output=True, text=True)
    assert done.stderr == ""
    if protects != "strict":
        assert done.stdout.split() == ["0", "0", "0"] and not drop_in.exists() and not asked.exists()
        return
    assert done.stdout.split()[0] != "0" and done.stdout.split()[1:] == ["0", "0"]
    assert asked.read_text().split("\n") == ["daemon-reload", "restart apache2", ""]
    [written] = re.findall(r"^\[Service\]\nReadWritePaths=(.+)$", drop_in.read_text(), re.MULTILINE)
    made = {
        Path(word)
        for step in (step for chapter in guides.CHAPTERS for step in chapter.steps)
        for word in re.findall(r"/(?:var/lib|var/log|run)/pairscope\b", step.commands)
    } | {
        Path(word)
        for word in re.findall(r"^d (/run/pairscope) ", (ROOT / "deploy/tmpfiles.conf").read_text(), re.MULTILINE)
    }
    places = written.split()
    assert all(place.startswith("-/") for place in places), "one that is not there yet keeps no Apache from starting"
    assert (
        made
        == {Path("/var/lib/pairscope"), Path("/var/log/pairscope"), Path("/run/pairscope")}
        == {Path(place[1:]) for place in places}
    )


@pytest.mark.parametrize(
    ("chosen", "there", "said"),
    [(False, False, "done"), (False, True, "done"), (True, True, "done"), (True, False, "did done touched")],
)
@pytest.mark.process
def test_a_compiler_is_installed_where_a_box_has_chosen_one_and_the_pool_is_then_started_again(
    tmp_path: Path, chosen: bool, there: bool, said: str
):
    """The step's own shell, with an apt-get that notes what it is told. script/fresh-test installs one."""
    python, asked, choices = tmp_path / "python", tmp_path / "asked", tmp_path / "box.toml"
    python.write_text(f"#!/bin/sh\nexit {int(not chosen)}\n")
    python.chmod(0o755)
    if there:
        asked.write_text("gcc libc6-dev\n")
    (tmp_path / "steps.sh").write_text(
        (ROOT / "deploy" / "steps.sh")
        .read_text()
        .replace("/opt/pairscope/venv/bin/python", str(python))
        .replace("/etc/pairscope/", f"{tmp_path}/")
    )
    shell = f"""
installed() {{ grep -q "$*" {asked} 2>/dev/null; }}
apt-get() {{ echo "$*" >> {asked}; }}
. {tmp_path}/steps.sh
done_python_compiler || {{ do_python_compiler && echo did; }}
done_python_compiler && echo done
[ ! -e {choices} ] || echo touched
"""
    # A name with a hyphen is bash's.
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.split() == said.split()
    if "touched" in said:
        assert asked.read_text() == "-y install --no-install-recommends gcc libc6-dev\n"


@pytest.mark.process
@pytest.mark.needs("rsync")
def test_of_an_older_box_nothing_of_the_code_stays_that_a_newer_checkout_has_no_longer(tmp_path: Path):
    """The step's own shell. script/fresh-test --upgrade tries it on a box."""
    code, checkout = tmp_path / "code", tmp_path / "checkout"
    (tmp_path / "steps.sh").write_text(
        (ROOT / "deploy" / "steps.sh").read_text().replace("/opt/pairscope/code", str(code))
    )
    bytecode = "__pycache__/channel.cpython-311.pyc"

    def write(*paths: Path) -> None:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)

    def step(*names: str) -> list[bool]:
        calls = "; ".join(f"{name}_python_code; echo $?" for name in names)
        done = subprocess.run(
            ["sh", "-c", f"source={checkout}; . {tmp_path}/steps.sh; {calls}"], capture_output=True, text=True
        )
        assert done.stderr == ""
        return [status == "0" for status in done.stdout.split()]

    def files() -> list[str]:
        return sorted(str(path.relative_to(code)) for path in code.rglob("*"))

    write(checkout / "app/pairscope/ipc/channel.py", checkout / "app/pairscope/ipc" / bytecode)
    write(checkout / "moved" / bytecode)  # git takes a directory away only where it is empty
    write(checkout / ".ruff_cache/CACHEDIR.TAG")
    for old in ("app", "moved", "moved/too"):
        write(code / old / "channel.py", code / old / bytecode)
    assert step("done", "do", "done") == [False, True, True]
    expected = ["app", "app/pairscope", "app/pairscope/ipc", "app/pairscope/ipc/channel.py"]
    assert files() == expected
    write(code / "app/pairscope/ipc" / bytecode)
    assert step("done") == [True], "bytecode beside its code, which commands of the guide write, is no change"
    write(code / "moved" / bytecode)
    assert step("done", "do", "done") == [False, True, True] and files() == expected
    (code / "moved").mkdir()
    assert step("done", "do", "done") == [False, True, True] and files() == expected


# ---- looking


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = embedded({"PAIRSCOPE_STATE": str(tmp_path)})
    upgrade(made)
    return made


def test_without_a_pool_the_report_says_so_in_words(settings: Settings):
    rows = {row.title: row for row in checks.run(settings, fresh=True).rows}
    assert rows["Supervisor"].verdict is Verdict.CRITICAL and "No supervisor" in rows["Supervisor"].drift
    assert rows["Tables of history"].verdict is Verdict.GOOD
    assert rows["MariaDB"].verdict is Verdict.UNUSED and "SQLite takes its place" in rows["MariaDB"].drift


def test_a_recorder_that_is_behind_is_not_called_up_to_date(settings: Settings):
    with closing(History(settings)) as history:
        shown = history.snapshot()
        for lag_ns, verdict in ((1_000_000_000, Verdict.GOOD), (40_000_000_000, Verdict.RECOMMENDED)):
            history.snapshot(recorder=msgspec.structs.replace(shown.recorder, lag=400_000, lag_ns=lag_ns))
            (row,) = [row for row in checks.run(settings, fresh=True).rows if row.title == "Recorder"]
            assert row.verdict is verdict and row.observed.startswith("400000 records behind"), row
    assert "the oldest record that waits is 40 s old" in row.drift


NO_COMPILER = str(Unrun.NO_COMPILER.say())
NO_BOX = str(Unrun.NO_BOX.say(why=Lacking.MOUNT.say(what="/proc", fault="Operation not permitted")))


@pytest.mark.parametrize(
    ("detail", "chosen", "expected"),
    [
        ({}, "", {}),
        ({"programs": "", "compiler": ""}, "", {"source": ("good", ""), "C": ("good", "")}),
        ({"programs": NO_BOX, "compiler": NO_COMPILER}, "compiler = true", {"source": ("unused", f"{NO_BOX}.")}),
        (
            {"programs": "", "compiler": NO_COMPILER},
            "port = 8080",
            {
                "source": ("good", ""),
                "C": ("unused", f"{NO_COMPILER}. With compiler = true in /etc/pairscope/box.toml "),
            },
        ),
        (
            {"programs": "", "compiler": NO_COMPILER},
            "compiler = true",
            {
                "source": ("good", ""),
                "C": ("recommended", "box.toml chooses a compiler, and a station of the lab says: "),
            },
        ),
        ({"programs": "", "compiler": NO_COMPILER}, "", {"source": ("good", ""), "C": ("unused", f"{NO_COMPILER}.")}),
    ],
)
def test_whether_programs_are_offered_and_those_in_c_is_told_as_a_station_has_found_it_out(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    detail: dict[str, str],
    chosen: str,
    expected: dict[str, tuple[str, str]],
):
    if chosen:
        (tmp_path / "box.toml").write_text(chosen)
        monkeypatch.setattr(checks, "_box", lambda: box.choices(tmp_path / "box.toml"))
    with closing(History(settings)) as history:
        history.snapshot(stations=[WorkerView(serial=9, pid=1, state="idle", born=1, ready=1, detail=detail)])
        rows = [row for row in checks.run(settings, fresh=True).rows if row.step == "python-compiler"]
    assert {row.title.rpartition(" ")[2]: row.verdict.value for row in rows} == {
        name: verdict for name, (verdict, _words) in expected.items()
    }
    for row, (_verdict, words) in zip(rows, expected.values(), strict=True):
        assert row.drift.startswith(words) and (row.drift == "") == (words == "")


def test_one_look_serves_all_who_ask_within_seconds(settings: Settings):
    first = checks.run(settings, fresh=True)
    assert checks.run(settings) is first and checks.run(settings, fresh=True) is not first


def test_a_row_that_differs_always_says_how(settings: Settings):
    for row in checks.run(settings, fresh=True).rows:
        assert (row.drift != "") == (row.verdict is not Verdict.GOOD), row


def test_another_version_of_a_library_is_told_with_both_versions(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "requirements.txt").write_text("flask==0.1\nno-such-library==9.9\n")
    monkeypatch.setattr("pairscope.stack.checks.python.REQUIREMENTS", tmp_path / "requirements.txt")
    drifts = [row.drift for row in checks.run(settings, fresh=True).rows if row.step == "python-environment"]
    assert (
        "requirements.txt says flask 0.1, and it is" in drifts[0]
        and "no-such-library 9.9, and it is missing" in drifts[1]
    )


def test_the_ports_that_apache_is_told_are_read_from_what_is_enabled(tmp_path: Path):
    (tmp_path / "conf-enabled").mkdir()
    (tmp_path / "ports.conf").write_text(
        "Listen 80\n# Listen 81\n<IfModule ssl_module>\n\tListen [::]:443\n</IfModule>\n"
    )
    (tmp_path / "conf-enabled" / "pairscope-port.conf").write_text("Listen 127.0.0.1:8081\n")
    assert system.listen_directives(tmp_path) == {80, 443, 8081}


def test_a_box_that_listens_elsewhere_is_told_in_the_guides_words(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen = tmp_path / "box.toml"
    chosen.write_text("port = 8080\n")
    monkeypatch.setattr(checks, "_box", lambda: box.choices(chosen))
    monkeypatch.setattr(system, "listen_directives", lambda _apache: {80, 8081})
    (row,) = [row for row in checks.run(settings, fresh=True).rows if row.title == "Port"]
    assert row.verdict is Verdict.CRITICAL and row.drift == "The guide says 8080, Apache is told to listen on 8081."


@pytest.mark.parametrize(
    "text", ["port = 0", "port = 'x'", "colour = 1", "hosts = ['a b']", "trusted_proxies = ['a']", "port ="]
)
def test_a_box_with_a_wrong_choice_is_refused_with_what_was_expected(tmp_path: Path, text: str):
    path = tmp_path / "box.toml"
    path.write_text(text)
    with pytest.raises(box.BoxError, match="expected|TOML"):
        box.choices(path)


def test_ports_that_somebody_listens_on_are_found_with_their_user():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listener.getsockname()[1] in system.listening()


def test_a_scoreboard_counts_only_the_workers_of_living_processes():
    told = {
        "processes": [
            {"pid": 7, "workers": [{"status": "_"}, {"status": "W"}, {"status": "."}, {"status": "_"}]},
            {"pid": 0, "workers": [{"status": "_"}]},
        ]
    }
    found = scoreboard.counted(told)
    assert (found.pids, found.workers, found.idle, str(found)) == ((7,), 3, 2, "2 idle, 1 answering")
    assert scoreboard.read() is None, "this is no process of Apache's"


def test_where_no_worker_is_idle_the_page_says_that_the_next_request_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scoreboard, "read", lambda: scoreboard.Scoreboard((7,), {"answering": 32}))
    monkeypatch.setattr(system, "processes", lambda name: [7] if name == "apache2" else [])
    rows = checks.run(dataclasses.replace(settings, source="box"), fresh=True).rows
    (row,) = [row for row in rows if row.title == "Workers of Apache"]
    assert (
        row.verdict is Verdict.RECOMMENDED
        and "the next request waits" in row.drift
        and row.observed == "32 in 1 processes: 32 answering"
    )


def test_what_listens_on_the_loopback_alone_is_not_reached():
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.create_server(("0.0.0.0", 0)) as outer:
        found = system.listening(reached=True)
        assert outer.getsockname()[1] in found and inner.getsockname()[1] not in found


def test_a_processs_descriptors_are_counted_without_reading_them():
    kernel = tuple(map(int, os.uname().release.split(".")[:2]))
    with open(os.devnull), open(os.devnull):
        assert system.descriptors(os.getpid()) == (len(os.listdir("/proc/self/fd")) - 1 if kernel >= (6, 2) else 0)
    assert system.owner(os.getpid()) == pwd.getpwuid(os.geteuid()).pw_name


# ---- what the provisioning looks at


def apart(*command: object, namespace: str) -> str:
    """What the command prints in a namespace of its own; skips where there is none."""
    if os.geteuid():
        pytest.skip("not root: no namespace of its own")
    if subprocess.run(["unshare", namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")
    done = subprocess.run(["unshare", namespace, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("ip", "ss")
@pytest.mark.process
def test_the_firewall_waits_for_services_and_for_no_loopback_link_or_resolver():
    said = apart(sys.executable, ROOT / "tests" / "programs" / "listeners.py", PROVISION, namespace="--net")
    assert re.findall(r"(\d+/\w+) \(", said) == [
        "53/tcp",
        "7100/tcp",
        "7101/tcp",
        "7102/tcp",
        "7103/udp",
        "7104/tcp",
    ], said


LISTS = """
set -e
lists=/var/lib/apt/lists
for place in $lists /var/cache/apt /etc/apt /run; do mount -t tmpfs none $place; done
did=''
say() { if todays_lists >/dev/null 2>&1; then echo "$1: yes"; else echo "$1: no"; fi; }
mkdir $lists/partial
say 'none'
for name in _InRelease _main_Packages.lz4; do touch -d '40 days ago' $lists/a$name; done
touch -d '40 days ago' /etc/apt/sources.list
touch $lists/lock /var/cache/apt/pkgcache.bin
say 'old, beside a fresh cache'
touch $lists/a_InRelease
say 'new'
touch -d '1 hour' /etc/apt/sources.list
say 'new, and other sources are newer'
touch -d '40 days ago' /etc/apt/sources.list $lists/a_InRelease
did=linux_sources  # what provisioning notes when the step's commands have succeeded
say 'old, and the archive has just said that it has none newer'
did=''
say 'the same, at the next run'
touch -d '41 days ago' $lists/a_main_Packages.lz4
say 'others, at the next run'
"""


@pytest.mark.process
def test_lists_of_packages_are_as_old_as_the_archive_made_them_whatever_apt_does_with_its_cache():
    script = PROVISION.read_text()
    functions = script[script.index("# ---- what the steps") : script.index("# ---- whether this machine fits")]
    said = apart("sh", "-c", f"{functions}\n{LISTS}", namespace="--mount")
    assert said.splitlines() == [
        "none: no",
        "old, beside a fresh cache: no",
        "new: yes",
        "new, and other sources are newer: no",
        "old, and the archive has just said that it has none newer: yes",
        "the same, at the next run: yes",
        "others, at the next run: no",
    ]


@pytest.mark.parametrize(("days", "verdict"), [(0, Verdict.GOOD), (29, Verdict.GOOD), (40, Verdict.RECOMMENDED)])
def test_the_check_tells_the_lists_own_age(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, verdict: Verdict
):
    monkeypatch.setattr(checks, "_box", dict)
    monkeypatch.setattr(system, "LISTS", tmp_path)
    for name in ("a_InRelease", "a_main_Packages.lz4", "older_InRelease"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - (days + (100 if name.startswith("older") else 0)) * 86400 - 60))
    (tmp_path / "lock").touch()
    (tmp_path / "partial").mkdir()
    (row,) = [row for row in checks.run(settings, fresh=True).rows if row.step == "linux-sources"]
    assert (row.observed, row.verdict) == (f"{days} days", verdict)


# ---- where /proc shows nobody else


LOOK = """
import dataclasses, json, os, pathlib, sys
from pairscope.config import embedded
from pairscope.stack import checks, system
from tests.programs import hardened

checks.python.REQUIREMENTS = pathlib.Path("/root/requirements.txt")
settings = dataclasses.replace(embedded({"PAIRSCOPE_STATE": sys.argv[1]}), source="box")
checks._box = lambda: {"port": int(sys.argv[2])}
system.listen_directives = lambda _apache: {int(sys.argv[2])}
hardened.enter()
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print(json.dumps({row.title: (row.verdict, row.observed, row.drift) for row in checks.run(settings).rows}))
"""
"""Prints what the checks of a box find as nobody, in a mount namespace whose /proc hides others."""


@pytest.mark.process
def test_where_proc_shows_nobody_else_a_check_says_what_it_cannot_see_and_who_can(settings: Settings):
    if os.geteuid():
        pytest.skip("not root: no /proc of its own can be mounted")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(settings.state), str(port)], cwd=ROOT, capture_output=True, text=True
        )
    if done.returncode == hardened.NOT_HERE:
        pytest.skip(done.stderr.strip())
    found = json.loads(done.stdout)
    hidden = "Processes of other users cannot be seen from here: "
    for title, who in (
        ("Processes of Apache", "root sees them: systemctl status apache2"),
        ("Processes of web", "root sees them: ps "),
    ):
        verdict, _observed, drift = found[title]
        assert verdict == "unknown" and drift.startswith(hidden) and who in drift, found[title]
    assert found["Port"][:2] == ["good", f"{port}, held by user root"]
    assert found["seccomp"][:2] == ["good", "filters; which actions there are cannot be seen from here"]
    closed = "It cannot be seen from here: this user may not read /root/requirements.txt. root can look."
    assert found["Install its libraries"] == ["unknown", "none", closed], (
        "what may not be read is not called missing, nor right"
    )
    assert "Modules" in found and "Names of the site" in found, "what is no process is looked at all the same"


# ---- on the page


@pytest.mark.pool
@pytest.mark.web
def test_the_page_the_api_and_the_command_tell_the_same(server: Server):
    items = server.get("/api/v1/checks").json["items"]
    page = server.get("/stack").text
    assert {row["chapter"] for row in items} == {"linux", "apache", "mysql", "python", "pool"}
    for row in items:
        assert row["title"] in page.replace("&#39;", "'")
    text = server.get("/stack/report.txt").text
    assert len(text.splitlines()) == len(items)
    told = json.loads(run(server.settings.state, "checks", "--json").stdout)["rows"]
    assert [row["title"] for row in told if row["step"] not in PRIVATE] == [row["title"] for row in items]
    assert all(f'id="{step.id}"' in server.get("/stack/guide").text for step in guides.CHAPTERS[0].steps)


@pytest.mark.pool
@pytest.mark.web
def test_what_a_run_does_without_is_not_used_and_not_unseen(server: Server):
    page = server.get("/stack").text
    row = re.search(r'<tr [^>]*data-told="apache Apache">.*?</tr>', page, re.DOTALL)
    assert row and "not used" in row[0] and "not seen" not in row[0]
    counted = re.search(r'<p class="verdicts".*?</p>', page, re.DOTALL)
    assert counted and "2 not used" in counted[0]
    assert {
        row["verdict"] for row in server.get("/api/v1/checks").json["items"] if row["title"] in ("Apache", "MariaDB")
    } == {"unused"}


@pytest.mark.pool
@pytest.mark.web
def test_what_one_may_type_to_look_oneself_works_in_the_embedded_run(server: Server):
    rows = {row["title"]: row for row in server.get("/api/v1/checks").json["items"]}
    for title, words in (
        ("Supervisor", "database  ready"),
        ("Tables of history", "tables are up to date"),
        ("Journal", '"ready": *true'),
        ("Descriptors a process may hold", r"^\d+|unlimited"),
    ):
        done = subprocess.run(["bash", "-c", rows[title]["command"]], cwd="/", capture_output=True, text=True)
        assert done.returncode == 0 and re.search(words, done.stdout, re.DOTALL), (rows[title], done)
    for title in ("Apache", "MariaDB"):
        assert (
            rows[title]["observed"] == "not used here"
            and rows[title]["command"] == ""
            and rows[title]["verdict"] == "unused"
        )


def test_elsewhere_what_one_may_type_names_what_is_there(settings: Settings, tmp_path: Path):
    def scene(box: dict | None, source: str) -> Scene:
        return Scene(dataclasses.replace(settings, source=source), None, box, None)

    private = tmp_path / "lamp" / "conf" / "web.toml"
    assert scene({"port": 81}, "x").typed("curl http://localhost:PORT/readyz") == "curl http://localhost:81/readyz"
    assert scene({}, "x").typed("pairscope status") == "pairscope status"
    assert scene(None, str(private)).typed("pairscope status").endswith(" -m pairscope status")
    assert f"PAIRSCOPE_SETTINGS={private} " in scene(None, str(private)).typed("pairscope status")
    assert scene(None, str(private)).typed("mariadb -e 'SHOW GRANTS'") == "mariadb -e 'SHOW GRANTS'"
    client = tmp_path / "lamp" / "client.cnf"
    client.parent.mkdir()
    client.touch()
    assert (
        scene(None, str(private)).typed("mariadb -e 'SHOW GRANTS'")
        == f"mariadb --defaults-file={client} -e 'SHOW GRANTS'"
    )


@pytest.mark.pool
@pytest.mark.web
def test_the_commands_exit_status_says_whether_all_is_good(server: Server, tmp_path: Path):
    done = run(server.settings.state, "checks")
    assert done.returncode == any(word in done.stdout for word in ("recommended", "critical"))
    assert "looked at:" in done.stdout
    away = run(tmp_path, "checks")
    assert away.returncode == 1 and "No supervisor has said anything lately" in away.stdout
    broken = tmp_path / "web.toml"
    broken.write_text("colour = 'red'")
    assert "colour" in one_sentence(run(tmp_path, "checks", PAIRSCOPE_SETTINGS=str(broken)), 2)


@pytest.mark.pool
@pytest.mark.web
def test_no_secret_stands_on_the_page(server: Server):
    from tests.running import TOKEN

    for path in ("/stack", "/stack/report.txt", "/api/v1/checks"):
        for token in ("", TOKEN):
            text = server.get(path, token).text
            assert TOKEN not in text and not re.search(r"mysql\+pymysql://[^@\s]*:[^@\s]+@", text)


@pytest.mark.database
def test_the_advice_about_a_database_that_cannot_be_asked_fits_what_it_says(mariadb: MariaDB, tmp_path: Path) -> None:
    def drift(url: str) -> str:
        made = engine(url, read_only=True, away=Away(), pool_size=1)
        scene = Scene(
            Settings(state=tmp_path, run=tmp_path, history_url=url, source=str(tmp_path / "web.toml")), None, None, made
        )
        (found,) = checks.mysql._server(scene)
        made.dispose()
        return found.drift

    with refusing_relay(mariadb.port) as relay:
        url = mariadb.url("mysql", relay.port)
        for number, words in (
            (1045, "refuses the login of root"),
            (1040, "raise max_connections"),
            (1047, "its node is not part of the cluster now"),
        ):
            with relay.refusing(number, greets=number == 1047):
                said = drift(url)
                assert words in said and f"not now ({number})" in said and "start" not in said, said
    assert "Unknown database" in (said := drift(mariadb.url("none"))) and "migrate" in said and "start" not in said
    assert "start the server that is to listen at 127.0.0.1:1" in drift("mysql+pymysql://root@127.0.0.1:1/none")
    assert "no name server knows nowhere.invalid: history_url in" in drift("mysql+pymysql://root@nowhere.invalid/none")
