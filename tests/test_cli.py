"""The command line, each command as a process of its own, against a real server or against none."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pairscope.cli.tail import tail
from pairscope.ipc.identity import time_of
from pairscope.store import pages, queries, walk
from tests import migrations, plausible
from tests.eventually import eventually
from tests.running import PROJECT, TOKEN, Server, environment, running

pytestmark = [pytest.mark.pool, pytest.mark.web]

TEXT = b"one\ntwo words\nthree\n"


def run(state: Path, *arguments: str, given: bytes = b"", **more: str) -> subprocess.CompletedProcess[str]:
    """One command; no traceback, whatever happens."""
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", *arguments],
        cwd=PROJECT,
        env=environment(state, **more),
        input=given,
        capture_output=True,
        timeout=60,
    )
    result = subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr, result.stderr
    return result


def one_sentence(done: subprocess.CompletedProcess[str], status: int) -> str:
    """What it said, having failed with `status`."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("pairscope: "), done.stderr
    return lines[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_bytes(TEXT)
    return path


# ---- status


def test_status_shows_workers_journal_and_database(server: Server) -> None:
    done = run(server.settings.state, "status")
    assert done.returncode == 0, done.stderr
    for word in ("worker", "idle", "pool      ready", "journal   ready", "database  ready"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout  # no colours where no terminal is


def test_status_in_json_is_the_snapshot(server: Server) -> None:
    told = json.loads(run(server.settings.state, "status", "--json").stdout)
    assert (
        told["ready"] and len(told["pool"]["workers"]) == 2 and set(told["checks"]) == {"pool", "journal", "database"}
    )


def test_status_without_a_pool_says_that_it_is_away(tmp_path: Path) -> None:
    assert "the pool is away" in one_sentence(run(tmp_path, "status"), 3)
    done = run(tmp_path, "status", "--json")
    assert done.returncode == 3 and json.loads(done.stdout) == {"ready": False, "pool": None}


def test_where_a_private_lamp_stands_beside_it_the_embedded_run_says_how_to_reach_that(tmp_path: Path) -> None:
    settings = tmp_path / "lamp" / "conf" / "web.toml"
    settings.parent.mkdir(parents=True)
    settings.touch()
    for command in (["status"], ["submit", "echo", "--data", "hello"]):
        assert f"for that of script/lamp set PAIRSCOPE_SETTINGS={settings}" in one_sentence(run(tmp_path, *command), 3)
    assert f"PAIRSCOPE_SETTINGS={settings}" in run(tmp_path, "tail").stderr


# ---- submit


def test_submit_hands_the_file_to_a_worker_and_shows_the_result(server: Server, file: Path) -> None:
    done = run(server.settings.state, "submit", "digest", str(file))
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(TEXT).hexdigest() in done.stdout and "done" in done.stdout


def test_submit_passes_the_very_file_not_a_copy(server: Server, file: Path) -> None:
    job = json.loads(run(server.settings.state, "submit", "digest", str(file), "--json").stdout)["job"]
    transfers = eventually(
        lambda: len(rows := server.get(f"/api/v1/transfers?q=job:{job}").json["items"]) == 2 and rows,
        "both transfers are recorded",
    )
    found = file.stat()
    for transfer in transfers:
        assert (transfer["device"], transfer["inode"]) == (str(found.st_dev), str(found.st_ino))
        assert transfer["object"] == "regular file" and transfer["link"] == str(file)
    assert transfers[-1]["sender"]["role"] == "tool"


def test_submit_reads_standard_input(server: Server) -> None:
    told = json.loads(run(server.settings.state, "submit", "digest", "-", "--json", given=TEXT).stdout)
    assert told["state"] == "done" and told["result"]["sha256"] == hashlib.sha256(TEXT).hexdigest()


def test_submit_writes_the_output_where_it_is_told(server: Server, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gz"
    assert run(server.settings.state, "submit", "compress", str(file), "-o", str(target)).returncode == 0
    assert gzip.decompress(target.read_bytes()) == TEXT
    piped = subprocess.run(
        [sys.executable, "-m", "pairscope", "submit", "compress", str(file), "-o", "-", "--json"],
        cwd=PROJECT,
        env=environment(server.settings.state),
        capture_output=True,
    )
    assert gzip.decompress(piped.stdout) == TEXT and json.loads(piped.stderr)["state"] == "done"


def test_submit_without_waiting_prints_the_jobs_id(server: Server, file: Path) -> None:
    job = run(server.settings.state, "submit", "digest", str(file), "--no-wait").stdout.strip()
    eventually(lambda: server.get(f"/api/v1/jobs/{job}").json["state"] == "done", "it is done all the same")


def test_submit_passes_parameters_and_text(server: Server, file: Path) -> None:
    assert (
        json.loads(run(server.settings.state, "submit", "echo", "--data", "h\u00e9", "--json").stdout)["result"]["text"]
        == "h\u00e9"
    )
    told = json.loads(run(server.settings.state, "submit", "compress", str(file), "-p", "level=1", "--json").stdout)
    assert told["result"]["level"] == 1


def test_values_within_a_value_of_a_result_stand_each_on_a_line(server: Server) -> None:
    done = run(server.settings.state, "submit", "thumbnail", str(PROJECT / "docs/images/lab.png"))
    assert done.returncode == 0 and re.search(r"^  original\.format +PNG$", done.stdout, re.MULTILINE), done.stdout
    assert "{" not in done.stdout and len({line.rstrip().rfind(" ") for line in done.stdout.splitlines()[1:4]}) == 1


def test_why_a_run_was_refused_stands_behind_its_time_and_a_colon(tmp_path: Path) -> None:
    text = b'm: memfd_create "x" 0 -> f\nm: ftruncate f 2M\n'
    shown = run(tmp_path, "lab", "run", "--here", "-", given=text).stdout.splitlines()[-1]
    assert re.fullmatch(r"refused in [\d.]+ m?s: line 2: .+", shown), shown
    shown = run(tmp_path, "lab", "run", "--here", "one-process").stdout.splitlines()[-1]
    assert re.fullmatch(r"as expected in [\d.]+ m?s", shown), shown


def test_a_job_that_fails_is_told_on_standard_error_with_status_1(server: Server, file: Path) -> None:
    done = run(server.settings.state, "submit", "thumbnail", str(file))
    assert done.returncode == 1 and "expected an image" in done.stderr
    done = run(server.settings.state, "submit", "thumbnail", str(file), "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["state"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nothing", "FILE"), 1, "There is no job of that name. Known are: compress, digest"),
        (("digest", "EMPTY"), 1, "empty"),
        (("digest", "MISSING"), 1, "No such file or directory"),
        (("digest", "DIRECTORY"), 1, "is a directory"),
        (("digest",), 1, "none came"),
        (("digest", "FILE", "-p", "x"), 2, "expected NAME=VALUE"),
    ],
)
def test_a_wrong_submission_is_one_sentence(
    server: Server, file: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    places = {
        "FILE": file,
        "EMPTY": file.with_name("empty"),
        "MISSING": file.with_name("missing"),
        "DIRECTORY": file.parent,
    }
    places["EMPTY"].touch()
    assert words in one_sentence(
        run(server.settings.state, "submit", *(str(places.get(argument, argument)) for argument in arguments)), status
    )


def test_submit_without_a_pool_says_that_it_is_away(tmp_path: Path, file: Path) -> None:
    assert "the pool is away" in one_sentence(run(tmp_path / "state", "submit", "digest", str(file)), 3)


# ---- tail


def test_tail_shows_the_newest_messages_the_newest_last(server: Server, file: Path) -> None:
    job = json.loads(run(server.settings.state, "submit", "digest", str(file), "--json").stdout)["job"]
    eventually(lambda: len(server.get(f"/api/v1/messages?q=job:{job}").json["items"]) == 5, "its messages are recorded")
    lines = run(server.settings.state, "tail", "-q", f"job:{job}").stdout.splitlines()
    assert [re.findall(r"submit|accepted|task|result|answer", line)[0] for line in lines] == [
        "submit",
        "accepted",
        "task",
        "result",
        "answer",
    ]
    told = [
        json.loads(line)
        for line in run(server.settings.state, "tail", "-q", f"job:{job}", "-n", "2", "--json").stdout.splitlines()
    ]
    assert [row["kind"] for row in told] == ["result", "answer"]


def test_tail_searches_on_until_the_oldest_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    history = plausible.History(plausible.settings_in(tmp_path))
    plausible.fill(history)
    oldest = queries.page(history.session, "messages", limit=10_000).rows[-1].id
    history.close()
    monkeypatch.setattr(walk, "BOUND", 10)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    monkeypatch.setenv("PAIRSCOPE_STATE", str(tmp_path))
    assert tail.callback
    tail.callback(
        lines=1,
        follow=False,
        query=f"-since:{datetime.fromtimestamp((time_of(oldest) // 10**9) + 1, UTC).isoformat()}",
        as_json=True,
    )
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["id"] >= str(oldest)


def test_tail_follows_and_ends_when_nobody_reads_any_more(server: Server, file: Path) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "pairscope", "tail", "-f", "-n", "0", "-q", "kind:task", "--json"],
        cwd=PROJECT,
        env=environment(server.settings.state),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout
    stdout = follower.stdout
    jobs: set[str] = set()

    def follows() -> bool:
        jobs.add(server.submit("digest", TEXT).json["id"])
        return bool(select.select([stdout], [], [], 1)[0])

    eventually(follows, "a message is followed", 20)
    assert json.loads(follower.stdout.readline())["job"] in jobs
    follower.stdout.close()
    assert follower.wait(10) in (0, 1)


def test_tail_interrupted_ends_with_130(server: Server) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "pairscope", "tail", "-f", "-n", "1", "--json"],
        cwd=PROJECT,
        env=environment(server.settings.state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with follower:
        assert follower.stdout and follower.stderr
        server.submit("digest", TEXT)
        follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        assert "Traceback" not in follower.stderr.read()


def test_tail_of_a_wrong_query_and_of_no_database(server: Server, tmp_path: Path) -> None:
    assert "expected one of kind" in one_sentence(run(server.settings.state, "tail", "-q", "foo:1"), 2)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "pairscope migrate" in one_sentence(run(empty, "tail"), 4)


# ---- migrate and token


def test_migrate_applies_once(tmp_path: Path) -> None:
    first = json.loads(run(tmp_path, "migrate", "--json").stdout)
    assert first["applied"] == migrations.ALL
    assert json.loads(run(tmp_path, "migrate", "--json").stdout) == {"applied": []}
    assert run(tmp_path, "migrate").stdout == "The tables are up to date.\n"


def test_a_token_is_made_listed_used_and_revoked(server: Server) -> None:
    state = server.settings.state
    made = json.loads(run(state, "token", "create", "robot", "--days", "1", "--json").stdout)
    assert server.post("/api/v1/pool/scale", {"workers": 2}, made["token"]).status == 200
    rows = json.loads(run(state, "token", "list", "--json").stdout)
    number = next(row["id"] for row in rows if row["name"] == "robot")
    listed = run(state, "token", "list").stdout
    assert "robot" in listed and made["token"] not in listed
    assert run(state, "token", "revoke", str(number)).returncode == 0
    assert server.post("/api/v1/pool/scale", {"workers": 2}, made["token"]).status == 401
    assert f"no token {number}" in one_sentence(run(state, "token", "revoke", str(number)), 1)


def test_a_login_link_for_once_is_made_with_the_address(server: Server) -> None:
    link = run(server.settings.state, "token", "create", "me", "--once", "--site", server.address).stdout.strip()
    assert link.startswith(f"{server.address}login?token=")


def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    assert "PAIRSCOPE_WORKERS is 'x'" in one_sentence(run(tmp_path, "serve", PAIRSCOPE_WORKERS="x"), 2)
    assert "cannot be read" in one_sentence(
        run(tmp_path, "status", PAIRSCOPE_SETTINGS=str(tmp_path / "missing.toml")), 2
    )


def test_wrong_usage_has_status_2(tmp_path: Path) -> None:
    for arguments in (("nothing",), ("submit",), ("tail", "-n", "x"), ("submit", "echo", "FILE", "--data", "x")):
        assert run(tmp_path, *arguments).returncode == 2


# ---- serve


def pids(server: Server) -> list[int]:
    """The pool's processes."""
    said = json.loads(server.settings.snapshot.read_bytes())
    return [said["supervisor"]["pid"], said["recorder"]["pid"], *(worker["pid"] for worker in said["workers"])]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "state") as server:
        processes = pids(server)
        assert len(processes) == 4
        assert server.stop(number) == 0
        assert all(gone(pid) for pid in processes)
        assert "supervisor 1 has stopped" in server.log.read_text()
        assert not server.settings.control.exists()


def test_ctrl_c_reaches_the_server_alone(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        groups = {os.getpgid(pid) for pid in pids(server)}
        assert os.getpgid(server.process.pid) not in groups


def test_a_kill_of_the_server_stops_the_pool_too(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        processes = pids(server)
        server.process.kill()
        server.process.wait()
        eventually(lambda: all(gone(pid) for pid in processes), "the pool is gone")
    with running(tmp_path / "state") as server:  # nothing holds the state any more
        assert server.submit("digest", TEXT).json["state"] == "done"


def test_a_pool_that_dies_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        first = pids(server)
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda: all(gone(pid) for pid in first[1:]), "its children went with it")
        eventually(
            lambda: server.get("/readyz").status == 200 and pids(server)[0] != first[0], "another one is ready", 20
        )
        assert server.submit("digest", TEXT).json["state"] == "done"
        assert server.stop() == 0


def test_a_second_server_on_the_same_state_is_told_who_holds_it(server: Server) -> None:
    words = one_sentence(run(server.settings.state, "serve"), 1)
    assert f"process {server.process.pid} at {server.address}" in words


def test_a_port_that_is_taken_is_refused_when_it_was_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"PORT is {port}" in one_sentence(run(tmp_path, "serve", PORT=port), 2)
    for port in ("x", "65536", "-1"):
        assert f"PORT is '{port}'" in one_sentence(run(tmp_path, "serve", PORT=port), 2)


def test_the_next_port_is_taken_when_the_default_one_is_not_free(tmp_path: Path) -> None:
    held = []
    try:
        try:
            held.append(socket.create_server(("127.0.0.1", 8080)))
        except OSError:
            pass  # somebody else holds it: as good
        with running(tmp_path / "state", PORT="") as server:
            assert 8080 < server.port < 8180 and server.get("/healthz").status == 200
    finally:
        for taken in held:
            taken.close()


def test_each_start_has_a_link_of_its_own_unless_the_token_is_set(tmp_path: Path) -> None:
    links = []
    for _ in range(2):
        with running(tmp_path / "state", PAIRSCOPE_OPERATOR_TOKEN="") as server:
            links.append(server.link.partition("token=")[2])
            assert server.post("/api/v1/pool/scale", {"workers": 2}, links[-1]).status == 200
            assert server.post("/api/v1/pool/scale", {"workers": 2}, links[0]).status == (
                200 if len(links) == 1 else 401
            )
    assert links[0] != links[1] and all(len(token) >= 43 for token in links)


def test_the_login_link_leads_in_as_a_person_takes_it(server: Server) -> None:
    server.log_in()
    page = server.get("/jobs").text
    assert "csrf_token" in page
    assert server.post("/api/v1/pool/scale", {"workers": 2}).status == 403  # a session alone is not enough


def test_the_token_is_in_no_childs_environment(server: Server) -> None:
    for pid in pids(server):
        assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes(), pid


def test_the_server_listens_on_loopback_alone(server: Server) -> None:
    listening = {
        line.split()[1]
        for line in Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()
        if line.split()[3] == "0A"
    }
    ours = [address for address in listening if address.endswith(f":{server.port:04X}")]
    assert ours == [f"0100007F:{server.port:04X}"]


def test_a_state_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in one_sentence(run(tmp_path / "file" / "state", "serve"), 1)


def test_a_long_and_private_state_directory_will_do(tmp_path: Path) -> None:
    state = tmp_path
    while len(str(state)) < 150:
        state = state / "directory-of-a-long-name"[: max(1, 149 - len(str(state)))]
    with running(state / "s") as server:
        assert server.submit("digest", TEXT).json["state"] == "done"


def test_a_pool_that_another_one_keeps_out_ends_the_server_in_words(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run(state, "migrate").returncode == 0
    with (tmp_path / "log").open("w") as log:
        other = subprocess.Popen(
            [sys.executable, "-m", "pairscope.pool"], cwd=PROJECT, env=environment(state), stderr=log
        )
    try:
        eventually((state / "run" / "control.sock").exists, "the other pool runs")
        done = run(state, "serve")
        assert done.returncode == 1 and "another supervisor holds its journal" in done.stderr.splitlines()[-1]
    finally:
        other.terminate()
        other.wait(20)


@pytest.mark.parametrize("command", [(), ("lab",), ("token",)])
def test_no_command_is_cut_short_in_the_list_of_commands(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = run(tmp_path, *command, "--help", COLUMNS="80").stdout
    assert [line for line in shown.partition("Commands:")[2].splitlines() if line.endswith("...")] == []
