"""Under Apache and MariaDB: who starts, ends and replaces whom, who may do what, and what is recorded where."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest

from pairscope.client.client import Client
from pairscope.ipc import memfd
from pairscope.lamp import box
from pairscope.lamp.templates import fill
from pairscope.program.request import encoded
from pairscope.store.engine import engine
from tests.boxed import Boxed
from tests.database import standing_still, stands_still
from tests.eventually import eventually
from tests.lamp import Lamp, command
from tests.leaks import parent, runs
from tests.running import TOKEN, Answer

pytestmark = pytest.mark.lamp

ROOT = os.geteuid() == 0
TESTS = Path(__file__).parent
HARDENED = TESTS / "programs" / "hardened.py"


# ---- what is served by whom


def test_a_page_comes_from_mod_wsgi_with_each_security_header_once(lamp: Lamp) -> None:
    answer = lamp.visitor.get("/")
    assert answer.status == 200 and answer.headers["Server"] == "Apache"
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"):
        assert len(answer.headers.get_all(name, [])) == 1, name
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_static_files_come_from_apache_and_are_asked_for_again_without_being_sent_again(lamp: Lamp) -> None:
    answer = lamp.visitor.get("/static/pairscope.css")
    assert answer.status == 200 and answer.body == (lamp.made.static / "pairscope.css").read_bytes()
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache" and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert lamp.visitor.get("/static/pairscope.css", If_None_Match=answer.headers["ETag"]).status == 304
    assert "immutable" in lamp.visitor.get("/static/pairscope.css?v=1").headers["Cache-Control"]


def test_each_static_file_that_a_page_names_may_be_kept_for_a_year(lamp: Lamp) -> None:
    named = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', lamp.visitor.get("/messages").text))
    assert len(named) >= 4
    for path in named:
        assert lamp.visitor.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable", path


def test_apache_compresses_what_a_page_is_made_of_and_nothing_that_holds_a_secret_or_is_kept_as_a_file(
    lamp: Lamp,
) -> None:
    """As the embedded server: tests/test_compression.py."""

    def encoding(path: str, **headers: str) -> str:
        return lamp.visitor.get(path, Accept_Encoding="gzip, br", **headers).headers.get("Content-Encoding", "none")

    plain, packed = lamp.visitor.get("/stack"), lamp.visitor.get("/stack", Accept_Encoding="gzip")
    assert b"Every layer" in gzip.decompress(packed.body) and len(packed.body) < len(plain.body) / 3
    assert encoding("/api/v1/openapi.json") == encoding("/static/live.js") == encoding("/database") == "gzip"
    style = lamp.visitor.get("/static/pairscope.css", Accept_Encoding="gzip")
    assert (
        style.headers["Content-Encoding"] == "gzip"
        and gzip.decompress(style.body) == (lamp.made.static / "pairscope.css").read_bytes()
    )
    assert (
        lamp.visitor.get("/static/pairscope.css", Accept_Encoding="gzip", If_None_Match=style.headers["ETag"]).status
        == 304
    )
    assert encoding("/login") == encoding("/messages/export.csv") == encoding("/messages/export.jsonl") == "none"
    assert encoding("/api/v1/openapi.json", Authorization=f"Bearer {TOKEN}") == "none"
    lamp.visitor.log_in()
    assert encoding("/stack") == "none" and encoding("/static/live.js") == "gzip"


@pytest.mark.parametrize(
    "path", ["/static/", "/static/../words.py", "/static/..%2fwords.py", "/static/.%2e/words.py", "/conf/web.toml"]
)
def test_nothing_beside_the_static_files_can_be_fetched(lamp: Lamp, path: str) -> None:
    assert lamp.visitor.get(path).status in (400, 403, 404)


def test_a_host_that_is_not_ours_is_refused(lamp: Lamp) -> None:
    assert lamp.visitor.get("/", Host="example.org").status == 400


def test_apache_refuses_a_body_beyond_every_bound_without_reading_it(lamp: Lamp) -> None:
    connection = http.client.HTTPConnection(lamp.made.address, lamp.made.port, timeout=10)
    try:
        connection.putrequest("POST", "/api/v1/jobs")
        connection.putheader("Content-Length", str(4 * lamp.made.upload_max + 1))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413 and b"the pool is unaffected" in response.read()
    finally:
        connection.close()


def test_the_stack_page_counts_apaches_workers_and_each_processs_descriptors_for_operators(lamp: Lamp) -> None:
    def found(token: str) -> dict[str, dict[str, Any]]:
        return {row["title"]: row for row in lamp.visitor.get("/api/v1/checks", token).json["items"]}

    seen = found(TOKEN)
    assert seen["MariaDB"]["command"].startswith(f"mariadb --defaults-file={lamp.made.conf.parent / 'client.cnf'} -e ")
    assert seen["Journal"]["command"] == f"curl {lamp.made.base_url}/readyz"
    workers = seen["Workers of Apache"]
    assert workers["verdict"] == "good" and re.fullmatch(
        r"\d+ in \d+ processes: \d+ idle.*\b1 answering.*", workers["observed"]
    ), workers
    pids = [int(found) for line in workers["detail"] for found in re.findall(r"process (\d+)", line)]
    assert pids and set(pids) <= set(children(lamp.apache.pid)), "each is a child of Apache's parent"
    assert seen["Module in Apache"]["observed"].startswith("mod_wsgi ")
    assert len(seen["Processes of web"]["detail"]) >= lamp.made.web_processes
    supervisor = lamp.supervisor()
    newer = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 2)
    counted = r", [1-9]\d* descriptors" if newer else ""
    assert re.fullmatch(rf"process {supervisor}, user \w+{counted}", seen["Managed process pool"]["observed"])
    assert f"connection {seen['This connection']['observed'].rsplit(' ', 1)[1]} of" in "\n".join(
        seen["Connections"]["detail"]
    )
    assert not any(row["detail"] for row in found("").values())


def test_the_command_says_why_it_does_not_see_apaches_workers_and_where_they_are_shown(lamp: Lamp) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "checks"],
        env={**os.environ, "PAIRSCOPE_SETTINGS": str(lamp.made.conf / "web.toml"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
    )
    assert "Workers of Apache" in done.stdout, done.stdout + done.stderr
    assert "Only a process that Apache has started sees its scoreboard: the page Stack tells it." in done.stdout


# ---- the pool as Apache's managed process


def test_apache_starts_the_supervisor_which_keeps_nothing_of_apaches_but_standard_error(lamp: Lamp) -> None:
    supervisor = lamp.supervisor()
    assert (
        parent(supervisor) == lamp.apache.pid
        and command(supervisor) == f"{lamp.made.venv}/bin/python -m pairscope.pool"
    )
    for pid in [supervisor, *children(supervisor)]:
        held = {int(fd.name): os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        apaches = {fd for fd, link in held.items() if link.startswith(str(lamp.made.log)) or "wsgi" in link}
        assert apaches <= {1, 2}, held
        assert not set(held.values()) & listeners(lamp), f"{command(pid)} holds a listener of Apache's"


@pytest.mark.skipif(not ROOT, reason="not root: everything runs as one user")
def test_started_by_root_nothing_of_ours_runs_as_root(lamp: Lamp) -> None:
    roots = [pid for pid in lamp.processes() if os.stat(f"/proc/{pid}").st_uid == 0]
    assert roots == [lamp.apache.pid]
    users = {
        role: os.stat(f"/proc/{pid}").st_uid
        for pid in lamp.processes()
        for role in ("wsgi:web", "pairscope.pool", "mariadbd")
        if role in command(pid)
    }
    assert len(set(users.values())) == 3, users


def test_a_killed_supervisor_is_replaced_and_its_children_go_with_it(lamp: Lamp) -> None:
    old = lamp.supervisor()
    family = children(old)
    assert len(family) >= 3, "two workers and the recorder"
    epoch = lamp.web_epoch()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not any(runs(pid) for pid in family), "its children saw the end of their pairs")
    lamp.supervisor(unlike=old)
    assert lamp.web_epoch() == epoch + 1


def test_a_stop_of_apache_ends_the_pool_and_leaves_no_orphan(lamp: Lamp) -> None:
    lamp.supervisor()
    lamp.apache.stop()
    try:
        assert [command(pid) for pid in lamp.processes()] == [command(lamp.mariadb.pid)]
        assert "supervisor" in lamp.log() and "has stopped" in lamp.log().splitlines()[-1]
    finally:
        lamp.apache.start()
    lamp.supervisor()


def test_a_graceful_restart_brings_a_new_supervisor_and_every_request_an_answer(lamp: Lamp) -> None:
    old = lamp.supervisor()
    epoch = lamp.web_epoch()
    answers: list[Answer] = []
    done = threading.Event()

    def visit() -> None:
        while not done.is_set():
            answers.append(lamp.visitor.get("/healthz"))

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        lamp.apache.restart()
        lamp.supervisor(unlike=old)
    finally:
        done.set()
        visitor.join()
    assert answers and not [answer.text for answer in answers if answer.status != 200]
    assert lamp.web_epoch() == epoch + 1
    assert lamp.supervisors() == [lamp.supervisor()]


def test_a_supervisor_that_stands_still_through_a_restart_keeps_the_next_one_waiting(lamp: Lamp) -> None:
    """Apache takes a stopped process for a dead one and neither ends nor waits for it: the journal's lock decides."""
    old = lamp.supervisor()
    epoch = lamp.web_epoch()
    os.kill(old, signal.SIGSTOP)
    try:
        lamp.apache.restart()
        (new,) = eventually(
            lambda: [pid for pid in lamp.supervisors() if pid != old], "Apache has started a second supervisor"
        )
        eventually(lambda: blocked_on_lock(new), "the second one waits for the journal's lock")
        assert lamp.web_epoch() == epoch
    finally:
        os.kill(old, signal.SIGKILL)
    lamp.supervisor(unlike=old)
    assert lamp.web_epoch() == epoch + 1


def test_apache_killed_takes_the_pool_with_it(lamp: Lamp) -> None:
    supervisor = lamp.supervisor()
    try:
        os.kill(lamp.apache.pid, signal.SIGKILL)
        eventually(lambda: not runs(supervisor), "the supervisor has stopped by itself")
    finally:
        lamp.apache.kill()  # its other children, which nothing tells
        lamp.apache.start()
    lamp.supervisor()


# ---- under a service that hides /proc


@pytest.fixture
def hardened(lamp: Lamp) -> Iterator[Lamp]:
    """The instance, its Apache started as under a unit with ProtectProc=invisible, ProcSubset=pid and
    MemoryDenyWriteExecute=yes."""
    if not ROOT:
        pytest.skip("not root: no /proc of its own can be mounted")
    words = [sys.executable, str(HARDENED)]
    tried = subprocess.run(
        [*words, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "!", "-e", "/proc/1"],
        capture_output=True,
        text=True,
    )
    if tried.returncode:
        pytest.skip(f"this machine mounts no /proc that hides others: {tried.stderr.strip()}")
    lamp.supervisor()
    lamp.apache.stop()
    try:
        lamp.apache.start(words)
        lamp.supervisor()
        yield lamp
    finally:
        lamp.apache.stop()
        lamp.apache.start()
        lamp.supervisor()


def test_where_web_sees_nobody_elses_proc_every_check_says_what_it_said_or_that_it_cannot_see(
    lamp: Lamp, request: pytest.FixtureRequest
) -> None:
    def findings() -> dict[str, dict[str, Any]]:
        return {row["title"]: row for row in lamp.visitor.get("/api/v1/checks", TOKEN).json["items"]}

    before = findings()
    request.getfixturevalue("hardened")

    def nothing_is_worse() -> bool:
        rows = findings().items()
        worse = {title: row["drift"] for title, row in rows if row["verdict"] not in ("good", before[title]["verdict"])}
        assert not worse, worse
        return True

    eventually(nothing_is_worse, "no check says worse, once live has begun anew with Apache", 30)
    found = findings()
    assert list(found) == list(before), "no row has gone"
    web, pool = found["Processes of web"], found["Managed process pool"]
    assert re.fullmatch(r"[12]: [\d, ]+; others cannot be seen from here", web["observed"]) and web["verdict"] == "good"
    assert pool["observed"] == f"process {lamp.supervisor()}, whose user and descriptors cannot be seen from here"
    assert (
        found["seccomp"]["observed"] == "2 workers are confined by it; which actions there are cannot be seen from here"
    )
    answer = lamp.visitor.submit("thumbnail", (TESTS.parent / "docs" / "images" / "lab.png").read_bytes(), "lab.png")
    assert answer.status == 201 and answer.json["state"] == "done", answer.text
    run = lamp.visitor.post("/api/v1/lab/runs", {"scenario": "parent-and-child"}, TOKEN)
    assert run.json["verdict"] == "held", run.text
    assert boxed(lamp).out, "a box has a /proc of its own there, too"
    gaps = lamp.ask("SELECT COUNT(*) FROM quarantine")
    old = lamp.supervisor()
    os.kill(old, signal.SIGKILL)
    new = lamp.supervisor(unlike=old)
    assert lamp.ask("SELECT COUNT(*) FROM quarantine") == gaps, "the same boot: nothing may have been lost"
    station = next(pid for pid in lamp.processes() if command(pid).endswith("pairscope.lab.station"))
    os.kill(station, signal.SIGSTOP)
    try:
        told = "Whether a signal has stopped a station is not known"
        eventually(
            lambda: told in lamp.visitor.get("/workers").text, "the page does not claim that no station is stopped"
        )
    finally:
        os.kill(station, signal.SIGCONT)
    assert lamp.supervisor() == new


def boxed(lamp: Lamp) -> Boxed:
    """What a station beside Apache makes of a program that says who it is."""
    source = '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d", getuid()); return 0; }\n'
    client = Client(lamp.pool, "tool")
    asked = memfd.sealed("a program", encoded("c", source, [], ""))
    try:
        answer = client.submit("lab", asked, name="a program", want="ended", timeout=60)
        _, fd = client.fetch(answer.job)
        with open(fd, "rb") as file:
            return Boxed(file.read())
    finally:
        os.close(asked)
        client.close()


def test_a_station_beside_apache_runs_a_program_in_a_box(lamp: Lamp) -> None:
    run = boxed(lamp)
    station = next(pid for pid in lamp.processes() if command(pid).endswith("pairscope.lab.station"))
    assert run.out == str(os.stat(f"/proc/{station}").st_uid) != "0"


def test_a_program_of_the_page_is_run_beside_apache_and_stepped_by_line(lamp: Lamp) -> None:
    source = "import os\nr, w = os.pipe()\nos.write(w, b'beside Apache')\nprint(os.read(r, 99).decode())\n"
    form = urllib.parse.urlencode({"language": "python", "source": source}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = lamp.visitor.request("POST", "/lab/program", form, kind, TOKEN)
    assert answer.status == 303, answer.text
    step = urllib.parse.urlsplit(answer.headers["Location"]).path
    assert re.search(r'data-number="2" class="here" aria-current="location"', lamp.visitor.get(step, TOKEN).text)
    assert "beside Apache\n" in lamp.visitor.get(step.partition("/steps/")[0], TOKEN).text


# ---- the record in MariaDB


def test_an_upload_over_http_is_a_job_whose_rows_mariadbs_own_client_counts(lamp: Lamp) -> None:
    contents = b"counted by its own client\n" * 1000
    answer = lamp.visitor.submit("digest", contents, "counted.txt")
    assert answer.status == 201, answer.text
    job = answer.json["id"]
    kinds = eventually(
        lambda: (
            (
                found := lamp.ask(
                    f"SELECT GROUP_CONCAT(kind ORDER BY id) FROM messages WHERE job = {job} AND state = 'received'"
                )
            ).count(",")
            >= 4
            and found
        ),
        "five messages are received and recorded",
    )
    assert set(kinds.split(",")) == {"submit", "accepted", "task", "result", "answer"}
    assert lamp.ask(f"SELECT state, name, size FROM jobs WHERE id = {job}") == f"done\tcounted.txt\t{len(contents)}"
    assert int(lamp.ask(f"SELECT COUNT(*) FROM transfers WHERE job = {job} AND proof <> 'different'")) >= 2
    assert lamp.visitor.get(f"/jobs/{job}").status == 200


def test_a_large_upload_crosses_as_an_unlinked_file_that_leaves_nothing_in_the_spool(lamp: Lamp) -> None:
    answer = lamp.visitor.submit("digest", os.urandom(3 << 20), "large.bin")
    assert answer.status == 201, answer.text
    job = answer.json["id"]
    shown = eventually(
        lambda: lamp.ask(f"SELECT DISTINCT object, access FROM transfers WHERE job = {job} AND kind = 'submit'"),
        "the transfer is recorded",
    )
    assert shown.startswith("regular"), shown
    assert list(lamp.web.spool.iterdir()) == []


def test_without_mariadb_pages_say_so_jobs_run_and_their_rows_come_when_it_is_back(lamp: Lamp) -> None:
    lamp.supervisor()
    lamp.mariadb.kill()
    try:
        page = lamp.visitor.get("/messages")
        assert page.status == 503 and "database" in page.text.lower()
        eventually(lambda: not lamp.checks()["database"]["ok"], "/readyz names the database")
        assert lamp.checks()["database"]["detail"].startswith("it does not answer: Can't connect to MySQL server")
        answer = lamp.visitor.submit("digest", b"meanwhile", "meanwhile.txt")
        assert answer.status == 201, answer.text
        assert answer.json["state"] == "done", answer.json
    finally:
        lamp.mariadb.start()
    job = answer.json["id"]
    eventually(lambda: lamp.ask(f"SELECT state FROM jobs WHERE id = {job}") == "done", "the job's row has come", 30)
    eventually(
        lambda: lamp.ask(f"SELECT COUNT(*) FROM messages WHERE job = {job}") == "5", "each of its messages is one row"
    )
    lamp.ready()
    assert lamp.visitor.get("/messages").status == 200


def told(lamp: Lamp, path: str) -> Answer:
    """What is answered, by a visitor who asks again as long as all web processes are busy with others."""
    for _ in range(50):
        answer = lamp.visitor.get(path)
        if "processes are busy" not in answer.text:
            break
    return answer


def test_while_mariadb_stands_still_every_page_says_so_and_all_come_back_by_themselves(lamp: Lamp) -> None:
    """Each waited 45 s once, until every thread of web did: /healthz had no answer either."""
    paths = ["/", "/messages", "/jobs", "/lab", "/api/v1/messages", "/readyz"] * 10
    threads = lamp.made.web_processes * lamp.made.web_threads
    with ThreadPoolExecutor(2 * threads) as visitors:
        with standing_still(lamp.mariadb.pid):
            answers = list(visitors.map(lambda path: told(lamp, path), paths))
            assert {answer.status for answer in answers} == {503}
            assert all("database" in answer.text.lower() for answer in answers)
            assert all(
                'http-equiv="refresh"' in answer.text for path, answer in zip(paths, answers) if path == "/messages"
            )
            assert {answer.status for answer in visitors.map(lamp.visitor.get, ["/healthz"] * threads)} == {200}
            assert not lamp.checks()["database"]["ok"] and lamp.checks()["pool"]["ok"]
            assert lamp.visitor.submit("digest", b"meanwhile", "meanwhile.txt").status == 201
            assert stands_still(lamp.mariadb.pid)
        lamp.ready()
        for path in paths:
            eventually(lambda: lamp.visitor.get(path).status == 200, f"{path} is back in each process")


# ---- who may do what


@pytest.mark.parametrize(
    ("who", "statement"),
    [
        ("web", "INSERT INTO quarantine VALUES (1, 1, 1, '', '')"),
        ("web", "UPDATE messages SET kind = 'x' LIMIT 1"),
        ("web", "DELETE FROM messages LIMIT 1"),
        ("web", "CREATE TABLE mine (a INT)"),
        ("recorder", "CREATE TABLE mine (a INT)"),
        ("recorder", "ALTER TABLE messages ADD COLUMN mine INT"),
        ("recorder", "DROP TABLE messages"),
        ("recorder", "SELECT * FROM tokens"),
        ("migrate", "CREATE DATABASE mine"),
        ("migrate", "SELECT * FROM mysql.global_priv"),
        ("web", "SELECT LOAD_FILE('/etc/passwd') IS NOT NULL FROM mysql.user"),
    ],
)
def test_a_user_of_the_database_can_do_no_more_than_its_part(lamp: Lamp, who: str, statement: str) -> None:
    made = engine({"web": lamp.made.web_url, "recorder": lamp.made.recorder_url, "migrate": lamp.made.migrate_url}[who])
    try:
        with made.connect() as connection, pytest.raises(Exception) as refused:
            connection.exec_driver_sql(statement)
    finally:
        made.dispose()
    assert isinstance(refused.value.__cause__, pymysql.err.Error)
    # access denied, to a database or a table
    assert refused.value.__cause__.args[0] in (1044, 1142, 1370), refused.value


def test_web_sees_what_each_user_of_the_database_may_do_and_no_password(lamp: Lamp) -> None:
    made, wanted = engine(lamp.made.web_url, read_only=True), box.expected_grants(lamp.made)
    try:
        with made.connect() as connection:
            rows = [tuple(row) for row in connection.exec_driver_sql("SELECT User, Place, Rights FROM rights")]
            assert box.seen_grants(rows) == wanted and all(wanted.values())
            assert {user for user, place, _how in rows if place == "login"} == set(wanted)
            assert not [
                row for row in rows for user in (lamp.made.web, lamp.made.recorder) if user.password in str(row)
            ]
            lamp.mariadb.tell(
                f"REVOKE INSERT ON {lamp.made.database}.messages FROM '{lamp.made.recorder.name}'@'localhost'"
            )
            rows = [tuple(row) for row in connection.exec_driver_sql("SELECT User, Place, Rights FROM rights")]
            name = lamp.made.recorder.name
            assert wanted[name] - box.seen_grants(rows)[name] == {("INSERT", f"{lamp.made.database}.messages")}
    finally:
        made.dispose()
        lamp.mariadb.tell(fill("mysql/grants.sql", lamp.made))


def test_a_value_that_does_not_fit_is_an_error_also_without_the_programs_own_sql_mode(lamp: Lamp) -> None:
    assert "STRICT_ALL_TABLES" in lamp.mariadb.tell("SELECT @@GLOBAL.sql_mode")
    assert (
        lamp.mariadb.tell("SELECT @@local_infile, @@innodb_flush_log_at_trx_commit, @@skip_networking").split("\n")[1]
        == "0\t1\t1"
    )


@pytest.mark.skipif(not ROOT, reason="not root: everything runs as one user")
def test_web_reads_neither_the_pools_settings_nor_its_journal_and_the_pool_not_webs_key(lamp: Lamp) -> None:
    web, pool = lamp.private.place.web, lamp.private.place.pool
    assert web.can("test", "-r", lamp.made.conf / "web.toml") and pool.can("test", "-r", lamp.made.conf / "pool.toml")
    for account, path in (
        (web, lamp.made.conf / "pool.toml"),
        (web, lamp.pool.journal),
        (pool, lamp.made.conf / "web.toml"),
        (pool, lamp.web.secret_key),
        (web, lamp.made.conf / "migrate.toml"),
        (pool, lamp.made.conf / "migrate.toml"),
        (web, lamp.private.client),
        (lamp.private.place.database, lamp.made.conf / "web.toml"),
        (lamp.private.place.database, lamp.web.control),
    ):
        assert path.exists() and not account.can("test", "-r", path), f"{account.user} reads {path}"


# ---- looking


def children(pid: int) -> list[int]:
    """Pids of a process' children. proc(5)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def listeners(lamp: Lamp) -> set[str]:
    """The sockets on which Apache's parent listens, as links of /proc/PID/fd."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = f"0100007F:{lamp.made.port:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[1] == here and row[3] == "0A"}


def blocked_on_lock(pid: int) -> bool:
    """Whether the process waits for a record lock; `->` marks a waiter. proc_locks(5)."""
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())
