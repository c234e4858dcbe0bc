"""The pool with real processes: what a client gets, what the journal says, and what is left when something dies."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import fcntl
import gzip
import hashlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from pairscope.client.attach import attach, connect
from pairscope.client.away import PoolAway, PoolRefused
from pairscope.client.client import Client
from pairscope.client.readiness import checks
from pairscope.config import embedded
from pairscope.files import SOURCE
from pairscope.ipc import memfd
from pairscope.ipc.channel import CHANNEL_FD, TOGETHER, Channel, ChannelClosed, pair
from pairscope.ipc.envelope import Envelope, Receipt
from pairscope.ipc.identity import LARGEST, first_id_at, time_of
from pairscope.ipc.nesting import excess
from pairscope.ipc.passing import close_all, send
from pairscope.ipc.payloads import Enter, Fetch, Hello, JobSpec, Lookup, Stop, Submit, Task, Viewer
from pairscope.ipc.vocabulary import BY_CODE, BY_NAME, LAB, Kind, Unhandled, complete
from pairscope.journal import segment
from pairscope.journal.records import Born, Ended, HandedOver, JobEnded, JobSubmitted, Message, Outcome, Proof, Ready
from pairscope.journal.writer import Writer
from pairscope.live.notice import Notice
from pairscope.pool.lines import OUTBOX_MOST
from pairscope.pool.supervisor import Supervisor
from pairscope.recorder.drain import HEARD
from pairscope.store.engine import engine
from pairscope.store.models import Message as Row
from pairscope.store.models import Position
from pairscope.work.worker import TaskLoop, serve, work
from tests import leaks, power
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One pool for the tests that leave it as they found it."""
    with running(tmp_path_factory.mktemp("pool")) as pool:
        pool.ready()
        yield pool


@pytest.fixture
def pool(tmp_path):
    """A pool of the test's own, to be hurt."""
    with running(tmp_path) as pool:
        pool.ready()
        yield pool


@pytest.fixture
def client(shared):
    client = Client(shared.settings, "tool")
    yield client
    client.close()


@pytest.fixture
def file(tmp_path):
    """A file open for reading, its path known."""
    path = tmp_path / "input"
    path.write_bytes(b"line one\nline two\n" * 1000)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    yield fd
    os.close(fd)


def of_job(pool: Pool, job: int) -> list[Message]:
    return [record for record in pool.records() if type(record) is Message and record.job == job]


def end_of(pid: int, fd: int) -> int:
    """A copy of another process' descriptor. pidfd_getfd(2)"""
    pidfd = os.pidfd_open(pid)
    copied = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0)
    os.close(pidfd)
    if copied < 0:
        pytest.skip(f"this process may not copy a descriptor of process {pid}: pidfd_getfd(2)")
    return copied


def sockets(pid: int) -> set[int]:
    """Numbers of the sockets among a process' descriptors."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                found.add(int(name))
    return found


SCENARIOS = JobSpec(LAB, "what a station says that it can do", 600.0, output=True)


@contextlib.contextmanager
def standing_still(pool: Pool) -> Iterator[None]:
    """The supervisor is stopped where it waits: what comes meanwhile is there for one turn of its loop, in the order in
    which it came."""
    status = Path(f"/proc/{pool.process.pid}/stat")
    # Before it has asked its selector again, that still holds what was ready the last time, and gives it first.
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "S", "the supervisor sleeps in its selector")
    pool.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, pool.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    try:
        yield
    finally:
        pool.process.send_signal(signal.SIGCONT)


def stop_workers(pool: Pool) -> None:
    """Stops every worker by SIGSTOP: a job that is given to one stays in hand for as long as the test likes."""
    for worker in pool.view().workers:
        os.kill(worker.pid, signal.SIGSTOP)


def exit_of(pool: Pool, worker: int) -> str:
    """How a worker ended, by the journal."""
    (ended,) = [
        record
        for record in pool.records()
        if type(record) is Ended and (record.role, record.serial) == ("worker", worker)
    ]
    return ended.exit


# ---- what a client gets


def test_a_job_on_a_descriptor_is_done_on_the_very_file(client, file):
    answer = client.submit("digest", file, name="input", want="ended")
    data = os.pread(file, 1 << 20, 0)
    assert (answer.state, answer.result["sha256"], answer.result["bytes"]) == (
        "done",
        hashlib.sha256(data).hexdigest(),
        len(data),
    )
    assert os.lseek(file, 0, os.SEEK_CUR) == 0, "the shared offset was moved"


def test_an_output_is_a_sealed_memfd_handed_over_read_only(client, file):
    answer = client.submit("compress", file, name="input", want="ended")
    output, fd = client.fetch(answer.job)
    try:
        assert gzip.decompress(os.pread(fd, 1 << 20, 0)) == os.pread(file, 1 << 20, 0)
        assert (output.size, output.name, output.media) == (answer.output, "input.gz", "application/gzip")
        assert memfd.is_sealed(fd)
        with pytest.raises(OSError):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def test_a_job_is_accepted_at_once_and_answered_when_it_ends(client, file):
    accepted = client.submit("digest", file, want="both")
    assert client.answer(accepted.job, 10).job == accepted.job


@pytest.mark.parametrize("size", [0, 1, 1024, 65_536, 300_000])
def test_bytes_of_any_size_are_echoed_whole(client, size):
    answer = client.submit("echo", data=b"e" * size, want="ended")
    assert (answer.state, answer.result["bytes"]) == ("done", size)
    assert answer.result["text"] == "e" * size


def test_many_in_flight_all_come_back_and_each_is_recorded_as_four_messages(shared, client):
    begun = {client.begin("echo", data=b"%d" % number): number for number in range(1000)}
    ended = {}
    while len(ended) < len(begun):
        ended.update(client.ended())
    assert {seq: answer.result["text"] for seq, answer in ended.items()} == {
        seq: str(number) for seq, number in begun.items()
    }
    client.settle()
    jobs = {answer.job for answer in ended.values()}
    kinds = collections.Counter(
        BY_CODE[record.kind].name for record in shared.records() if type(record) is Message and record.job in jobs
    )
    assert kinds == {"submit": 1000, "task": 1000, "result": 1000, "answer": 1000}


def test_threads_have_a_pair_each(shared):
    client = Client(shared.settings, "tool")
    serials = []

    def ask() -> None:
        serials.append((client.serial, client.submit("echo", data=b"x", want="ended").state))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({serial for serial, _ in serials}) == 4 and {state for _, state in serials} == {"done"}


# ---- what is refused


def refusal(call, *arguments, **named) -> tuple[str, str]:
    with pytest.raises(PoolRefused) as caught:
        call(*arguments, **named)
    return caught.value.code, caught.value.reason


def test_what_cannot_be_done_is_refused_in_words(client, file):
    assert refusal(client.submit, "nonsense", file)[0] == "unknown-kind"
    assert "echo" in refusal(client.submit, "nonsense", file)[1]
    assert refusal(client.submit, "digest")[0] == "needs-input"
    assert refusal(client.cancel, 1)[0] == "unknown-job"
    assert refusal(client.fetch, 1)[0] == "unknown-job"
    assert refusal(client.fetch, client.submit("echo", data=b"", want="ended").job)[0] in ("no-output", "expired")
    assert refusal(client.signal, 999, "KILL")[0] == "unknown-worker"
    assert refusal(client.signal, 1, "SEGV")[0] == "out-of-range"
    assert refusal(client.scale, 0)[0] == "out-of-range"
    assert refusal(client.scale, 33)[0] == "out-of-range"


def test_an_input_that_is_no_file_or_can_still_change_is_refused(client, tmp_path):
    reading, writing = os.pipe()
    unsealed = memfd.empty("unsealed")
    write_only = os.open(tmp_path / "w", os.O_WRONLY | os.O_CREAT)
    try:
        assert "is a pipe" in refusal(client.submit, "digest", reading)[1]
        assert "sealed" in refusal(client.submit, "digest", unsealed)[1]
        assert "open for write" in refusal(client.submit, "digest", write_only)[1]
    finally:
        for fd in (reading, writing, unsealed, write_only):
            os.close(fd)


def test_a_client_that_speaks_nonsense_loses_its_channel_and_nobody_else_does(shared, client):
    other = Client(shared.settings, "tool")
    serial = other.serial
    line = other._line()
    send(line.channel.sock, b"nonsense")
    with pytest.raises(ChannelClosed):
        line.channel.wait(10)
    other.close()
    assert client.submit("echo", data=b"x", want="ended").state == "done"
    eventually(
        lambda: [
            record
            for record in shared.records()
            if type(record) is Ended
            and (record.role, record.serial) == ("tool", serial)
            and "vocabulary" in record.exit
        ],
        "the record says why the channel was closed",
    )


def a_packet(kind: str, payload: bytes, **header: Any) -> bytes:
    """One message as it travels, its payload already encoded."""
    return msgspec.msgpack.encode(Envelope(BY_NAME[kind].code, payload=msgspec.Raw(payload), **header))


def fields(**values: object) -> bytes:
    return msgspec.msgpack.encode(values)


@pytest.mark.parametrize(
    "packet",
    [
        a_packet("submit", fields(kind="KIND").replace(b"KIND", b"\xff\xfe\xfd\xfc")),
        a_packet(
            "submit", fields(kind="echo", parameters={"a": "deep"}).replace(b"\xa4deep", b"\x91" * 50_000 + b"\x01")
        ),
        a_packet(
            "submit", fields(kind="echo", parameters={"a": msgspec.msgpack.Ext(5, b"x"), "b": {(1, 2): float("nan")}})
        ),
        a_packet(
            "submit", fields(kind="echo", name="\0\n" * 1000, size=(1 << 64) - 1), seq=(1 << 64) - 1, sent=(1 << 64) - 1
        ),
        a_packet("submit", fields(kind="echo", want=-(1 << 63))),
        a_packet("cancel", fields(job=(1 << 64) - 1), job=5),
        a_packet("fetch", fields(job=-5)),
        a_packet("fetch", fields(job=1), receipts=[Receipt((1 << 62), (1 << 63) - 1, 0, [1 << 30])]),
        a_packet("lookup", fields(job=(1 << 64) - 1)),
        a_packet("signal", fields(worker=1, signal="\n" * 60_000)),
        a_packet("scale", fields(workers=(1 << 64) - 1)),
        a_packet("enter", fields(role="x" * 60_000)),
        b"\xdc\0\2\x01" + b"\x91" * 50_000 + b"\x01",
    ],
)
def test_no_packet_of_a_client_stops_the_supervisor(shared, packet):
    line = attach(shared.settings)
    line.post("enter", Enter("tool"))
    send(line.sock, packet)
    try:
        while line.wait(0.2):
            pass
    except ChannelClosed:
        pass
    line.close()
    with contextlib.closing(Client(shared.settings, "tool")) as client:
        assert client.submit("echo", data=b"x", want="ended").state == "done"
    assert shared.process.poll() is None


def test_a_long_payload_that_cannot_be_read_ends_its_channel_alone(shared, client):
    line = attach(shared.settings)
    line.post("enter", Enter("tool"))
    spill = memfd.sealed("spill", b"x" * 70_000)
    write_only = os.open(f"/proc/self/fd/{spill}", os.O_WRONLY)
    send(line.sock, a_packet("submit", b"\xc0", spill=70_000), [write_only])
    with pytest.raises(ChannelClosed):
        while line.wait(10):
            pass
    line.close()
    os.close(spill)
    os.close(write_only)
    assert client.submit("echo", data=b"x", want="ended").state == "done"


def test_what_stands_before_nonsense_is_answered_and_the_nonsense_ends_the_channel(shared):
    line = attach(shared.settings)
    line.post("enter", Enter("tool"))
    assert [arrival.kind.name for arrival in line.wait(10)] == ["welcome"]
    send(line.sock, b"\xdc\0\2" + a_packet("fetch", fields(job=1)) + a_packet("task", fields(kind="echo")))
    with pytest.raises(ChannelClosed):
        while True:
            assert line.wait(10), "nothing more is heard of it"
    line.close()
    serial = eventually(
        lambda: [
            record for record in shared.records() if type(record) is Ended and "task may not arrive here" in record.exit
        ],
        "the end is recorded",
    )[0].serial
    kinds = [
        BY_CODE[record.kind].name
        for record in shared.records()
        if type(record) is Message and (record.role, record.serial) == ("tool", serial)
    ]
    assert kinds == ["fetch", "refused"]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("result", fields(ok=True)), ("hello", fields(pid=1, sandbox="none", sandbox_detail={}, catalogue=[]))],
)
def test_what_is_not_for_a_client_to_send_is_refused_and_both_messages_are_recorded(shared, kind, payload):
    channel, welcome = connect(shared.settings, "tool")
    with contextlib.closing(channel):
        send(channel.sock, a_packet(kind, payload, seq=7))
        (arrival,) = channel.wait(10)
        assert (arrival.kind.name, arrival.envelope.seq, arrival.payload.code) == ("refused", 7, "bad-request")
        assert f"{kind} came: it is for a worker or a lab station to send" in arrival.payload.reason
        channel.post("submit", Submit("echo", data=b"x"))
        assert channel.wait(10)[0].payload.state == "done", "its channel is still there"
    messages = [
        record
        for record in shared.records()
        if type(record) is Message and (record.role, record.serial) == ("tool", welcome.serial)
    ]
    assert [BY_CODE[message.kind].name for message in messages[:2]] == [
        kind,
        "refused",
    ] and b"it is for a worker" in messages[1].preview


def test_a_kind_that_nobody_here_answers_is_refused_and_recorded(tmp_path):
    """There is none in a supervisor that has started: one of its handlers is taken away."""
    program = """
import sys
from pairscope.pool import supervisor
begin = supervisor.Supervisor.run
def run(self):
    del self.handlers["scale"], self.handlers["lookup"]
    begin(self)
supervisor.Supervisor.run = run
from pairscope.pool.__main__ import main
sys.exit(main())
"""
    settings = embedded({"PAIRSCOPE_STATE": str(tmp_path)})
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PAIRSCOPE_STATE": str(tmp_path)}, stderr=log
        )
    pool = Pool(settings, process, tmp_path / "log")
    try:
        eventually(settings.control.exists, "it listens")
        assert refusal(pool.client.scale, 2) == (
            "bad-request",
            "The request does not fit its kind. scale came: nobody here has an answer to it.",
        )
        assert refusal(pool.client.lookup, 2)[0] == "bad-request"
        kinds = [
            BY_CODE[record.kind].name for record in pool.records() if type(record) is Message and record.role == "tool"
        ]
        assert kinds == ["scale", "refused", "lookup", "refused"]
    finally:
        assert pool.stop() == 0


def test_nobody_starts_with_a_kind_of_message_that_it_has_no_handler_for(tmp_path, monkeypatch):
    for number, (sender, receiver) in enumerate(
        [("client", "supervisor"), ("supervisor", "worker"), ("supervisor", "recorder")], 90
    ):
        monkeypatch.setitem(
            BY_CODE,
            number,
            Kind(number, f"ping-{receiver}", sender, receiver, Stop, "", 0, "", False, "Is anybody there?"),
        )
    with pytest.raises(
        Unhandled, match="the vocabulary has ping-supervisor for the supervisor, which has no handler for it"
    ):
        Supervisor(embedded({"PAIRSCOPE_STATE": str(tmp_path)}))
    assert list(tmp_path.iterdir()) == [], "it had touched nothing"
    ours, theirs = pair()
    with ours, theirs, pytest.raises(Unhandled, match="ping-worker"):
        TaskLoop(Channel(ours), {})
    with pytest.raises(Unhandled, match="ping-recorder"):
        complete("recorder", HEARD)
    with pytest.raises(Unhandled, match="has a handler for task, which the vocabulary does not send to it"):
        complete("recorder", [*HEARD, "ping-recorder", "task"])


def test_the_command_says_which_kind_has_no_handler(tmp_path):
    program = (
        "import sys; from pairscope.ipc import payloads, vocabulary as v; "
        "v.BY_CODE[90] = v.Kind(90, 'ping', v.WEB, v.SUP, payloads.Nothing, '', 0, '', False, ''); "
        "from pairscope.pool.__main__ import main; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PAIRSCOPE_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "pairscope pool: the vocabulary has ping for the supervisor, which has no handler for it\n",
    )


def test_every_message_to_a_client_answers_one_of_its_own_or_is_looked_at_unasked():
    answers = {name for kind in BY_CODE.values() if "client" in kind.sender.split() for name in kind.answer.split()}
    told = {kind.name for kind in BY_CODE.values() if "client" in kind.receiver.split()}
    assert told - answers == {"task", "release", "committed"}, "by a lab station, by whoever keeps descriptors, by live"


def test_what_a_worker_may_not_say_ends_it_and_its_row_says_why(pool):
    worker = pool.ready().workers[0]
    end = end_of(worker.pid, CHANNEL_FD)
    with socket.socket(fileno=end) as forged:
        send(forged, a_packet("progress", fields(position=1, database="ok", rows=0, idle=True)))
        eventually(lambda: worker.serial not in [other.serial for other in pool.view().workers], "it has ended")
    assert exit_of(pool, worker.serial) == "killed by SIGKILL, for its fault: progress may not arrive here"


def test_of_a_packet_nothing_is_heard_behind_what_cost_its_sender_the_channel(pool):
    with contextlib.closing(attach(pool.settings)) as channel:
        channel.send(
            [
                channel.prepare("enter", Enter("tool")),
                channel.prepare("enter", Enter("tool")),
                channel.prepare("submit", Submit("echo", data=b"x")),
            ]
        )
        with pytest.raises(ChannelClosed):
            while True:
                channel.wait(10)
    assert "a client calls itself 'tool'; expected web, live, lab or tool, once" in pool.log.read_text()
    pool.client.scale(2)  # when it is answered, whatever came before is in the journal
    assert not [
        record for record in pool.records() if type(record) is Message and record.kind == BY_NAME["submit"].code
    ]


def test_what_a_child_said_before_it_died_is_read_to_the_end(pool):
    """Of the recorder one packet is read in a turn, and its death is in the same turn."""
    recorder = pool.drained().recorder
    with standing_still(pool):
        os.kill(recorder.pid, signal.SIGSTOP)
        with socket.socket(fileno=end_of(recorder.pid, CHANNEL_FD)) as its:
            for word in ("the word before", "the last word"):
                send(its, a_packet("progress", fields(position=recorder.position, database=word, rows=0, idle=False)))
        os.kill(recorder.pid, signal.SIGKILL)
        eventually(lambda: not leaks.runs(recorder.pid), "it has ended")
    eventually(
        lambda: pool.view().recorder.database == "the last word", "the snapshot has it, until the next recorder speaks"
    )


def test_a_worker_that_is_stopped_before_it_is_confined_dies_with_its_supervisor():
    child = """
import os, signal, socket, sys
from pairscope.work import worker
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.dup2(theirs.fileno(), 3)
sys.argv = ["worker", "nobody", "1000000", str(os.getppid())]
worker.catalogue = lambda: os.kill(os.getpid(), signal.SIGSTOP)
worker.main()
"""
    supervisor = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=2); print(p.pid, "
        "flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", supervisor], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(parent.stdout.readline())
        eventually(
            lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it is stopped", 20
        )
    finally:
        parent.kill()
        parent.communicate()
    try:
        eventually(lambda: not leaks.runs(pid), "it dies with its supervisor", 5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def deeply(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_parameters_beyond_the_bounds_are_refused_in_words(client):
    for parameters, words in (
        ({"a": deeply(16)}, "nested deeper than 16 levels"),
        ({"a": [0] * 20_000}, "more than 10000 values"),
        ({"a": float("nan")}, "no number in JSON"),
    ):
        with pytest.raises(PoolRefused, match=words):
            client.submit("echo", data=b"x", parameters=parameters, want="ended")


def test_an_answer_beyond_the_bounds_is_a_failure_that_its_worker_tells_itself():
    assert excess(deeply(15)) == "" and excess(deeply(100_000)) == "it is nested deeper than 16 levels"
    for answer, words in (
        (deeply(990), "nested deeper than 16"),
        ({"a": b"x"}, "holds a bytes"),
        ({"a": {1: 2}}, "a name that is no text"),
        ([], "no object"),
    ):
        odd = SimpleNamespace(run=lambda task: answer)
        told = work({"odd": odd}, SimpleNamespace(payload=Task("odd")), [])
        assert not told.ok and words in told.reason


def test_parameters_nested_as_deeply_as_they_can_be_read_do_not_stop_the_supervisor(shared, client):
    for depth in range(900, 1000):
        begun = a_packet(
            "submit",
            fields(kind="echo", parameters={"a": "deep"}).replace(b"\xa4deep", b"\x91" * depth + b"\x01"),
            seq=depth,
        )
        line = attach(shared.settings)
        line.post("enter", Enter("tool"))
        send(line.sock, begun)
        try:
            while not any(arrival.kind.name in ("answer", "refused") for arrival in line.wait(5)):
                pass
        except ChannelClosed:
            pass
        line.close()
    assert client.submit("echo", data=b"x", want="ended").state == "done"


def test_a_receipt_from_the_future_is_not_believed(shared):
    line = attach(shared.settings)
    line.post("enter", Enter("tool"))
    line.post("fetch", Fetch(1))
    arrivals = [arrival for _ in range(2) for arrival in line.wait(5)]
    (refused,) = [arrival.envelope.id for arrival in arrivals if arrival.kind.name == "refused"]
    line.receipts = [Receipt(refused, (1 << 63) - 1, 0, [7] * 1000)]
    line.post("receipt")
    outcome = eventually(
        lambda: [record for record in shared.records() if type(record) is Outcome and record.message == refused],
        "the outcome is journaled",
    )[0]
    line.close()
    assert outcome.received <= time.time_ns() and outcome.fds == []


def test_a_payload_that_outgrows_the_bound_with_its_next_header_fails_its_job_alone(client):
    room = 16 * 1024 * 1024 - len(msgspec.msgpack.encode(Submit("echo", data=b"x" * 70_000))) + 70_000
    answer = client.submit("echo", data=b"x" * room, want="ended", timeout=30)
    assert answer.state == "failed" and "at most 16777216 can travel" in answer.reason
    assert client.submit("echo", data=b"x", want="ended").state == "done"


def test_a_file_with_a_name_in_another_encoding_is_worked_on_and_recorded(shared, client, tmp_path):
    fd = os.open(os.fsencode(tmp_path) + b"/caf\xe9", os.O_RDONLY | os.O_CREAT)
    answer = client.submit("digest", fd, want="ended")
    os.close(fd)
    (transfer,) = of_job(shared, answer.job)[0].transfers
    assert answer.state == "done" and transfer.link.endswith("/caf\\xe9")


def test_a_client_that_hoards_outputs_without_a_receipt_loses_its_channel(shared, client, file):
    job = client.submit("compress", file, want="ended").job
    line = attach(shared.settings)
    line.post("enter", Enter("tool"))
    with pytest.raises(ChannelClosed):
        for _ in range(100):
            line.receipts.clear()
            line.post("fetch", Fetch(job))
            for arrival in line.wait(5):
                arrival.close()
    line.close()


def test_a_pool_without_a_free_descriptor_refuses_callers_in_words_and_recovers(pool):
    pid = pool.process.pid
    assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # without a snapshot that is just being written
    held = set.intersection(*(set(os.listdir(f"/proc/{pid}/fd")) for _ in range(20)))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(1000)) - {int(name) for name in held}), limits[1]))
    other = Client(pool.settings, "tool")
    for _ in range(3):
        with pytest.raises(PoolAway, match="no descriptor left"):
            other.submit("echo", data=b"x", want="ended")
    assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
    assert "Too many open files" in pool.client.submit("echo", data=b"x" * 40_000, want="ended").reason
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert other.submit("echo", data=b"x" * 100_000, want="ended").state == "done"
    other.close()


def test_a_client_must_say_what_it_is_first(shared):
    line = attach(shared.settings)
    line.post("submit", Submit("echo"))
    assert line.sock.recv(1) == b""
    line.close()


def test_the_user_of_a_worker_is_the_one_that_it_has_become(shared):
    told = {
        record.serial: record.uid for record in shared.records() if type(record) is Ready and record.role == "worker"
    }
    workers = shared.view().workers
    assert workers and {worker.serial for worker in workers} <= set(told)
    for worker in workers:
        assert told[worker.serial] == os.stat(f"/proc/{worker.pid}").st_uid
        assert told[worker.serial] or os.geteuid(), "a worker of root has left root"


def test_a_stranger_is_not_let_in(shared):
    if os.geteuid():
        pytest.skip("needs root to become another user")
    program = (
        "import sys; from pairscope.config import embedded; from pairscope.client.client import Client\n"
        "import os\n"
        "os.setresuid(54321, 54321, 54321)\n"
        "try: Client(embedded({'PAIRSCOPE_STATE': sys.argv[1]})).serial\n"
        "except Exception as error: print(error)"
    )
    for path in [shared.settings.run, *shared.settings.run.parents][:5]:
        if path.stat().st_uid == 0 and path != Path("/tmp"):
            path.chmod(0o755)
    shared.settings.control.chmod(0o666)
    said = subprocess.run(
        [sys.executable, "-c", program, shared.settings.state], capture_output=True, text=True, check=True
    ).stdout
    shared.settings.control.chmod(0o660)
    assert "user 54321 may not connect" in said


# ---- what the journal says


def test_every_message_of_a_job_is_journaled_with_its_descriptor_on_both_sides(shared, client, file):
    answer = client.submit("compress", file, name="input", want="both")
    client.answer(answer.job, 10)
    _, fd = client.fetch(answer.job)
    os.close(fd)
    client.settle()
    eventually(
        lambda: [m for m in of_job(shared, answer.job) if m.kind == BY_NAME["output"].code], "the output is journaled"
    )
    messages = {BY_CODE[message.kind].name: message for message in of_job(shared, answer.job)}
    assert list(messages) == ["submit", "accepted", "task", "result", "answer", "fetch", "output"]
    assert [message.inbound for message in messages.values()] == [True, False, False, True, False, True, False]
    assert messages["submit"].id == answer.job
    (sent,) = messages["submit"].transfers
    assert (sent.sender_fd, sent.object, sent.access, sent.inode, sent.proof) == (
        file,
        "regular file",
        "read",
        os.fstat(file).st_ino,
        "same",
    )
    given = messages["task"].transfers
    assert [transfer.object for transfer in given] == ["regular file", "memfd"] and given[0].inode == sent.inode

    def settled():
        outcomes = {record.message: record for record in shared.records() if type(record) is Outcome}
        proofs = {(record.message, record.position): record for record in shared.records() if type(record) is Proof}
        outbound = [message for message in messages.values() if not message.inbound]
        assert all(
            outcomes[message.id].state == "received"
            for message in outbound
            if message.id in outcomes or message is None
        )
        assert {message.id for message in outbound} <= set(outcomes)
        return outcomes, proofs

    outcomes, proofs = eventually(settled, "the peers have reported what they received")
    assert len(outcomes[messages["task"].id].fds) == 2
    assert [proofs[messages["task"].id, position].verdict for position in (0, 1)] == ["same", "same"]
    assert proofs[messages["output"].id, 0].verdict == "same"
    for message in messages.values():
        if not message.inbound:
            assert outcomes[message.id].received > message.sent
        else:
            assert message.received >= message.sent


@pytest.mark.alone  # the worker is at it for a second: under load its report was read when the job had ended
def test_a_task_that_takes_long_is_known_as_received_while_the_worker_is_at_it(shared, client, tmp_path):
    big = os.open(tmp_path / "big", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    os.truncate(big, 250_000_000)
    reading = os.open(tmp_path / "big", os.O_RDONLY | os.O_CLOEXEC)
    job = client.submit("compress", reading, want="accepted").job

    def reported() -> list[Any]:
        records = shared.records()
        tasks = [
            record.id
            for record in records
            if type(record) is Message and record.job == job and record.kind == BY_NAME["task"].code
        ]
        return [record for record in records if type(record) is Outcome and record.message in tasks] and records

    records = eventually(reported, "the worker has reported the task")
    assert not [record for record in records if type(record) is JobEnded and record.id == job]
    close_all([big, reading])
    eventually(
        lambda: [record for record in shared.records() if type(record) is JobEnded and record.id == job], "the job ends"
    )


def test_a_worker_says_of_a_kind_that_it_does_not_know_that_it_cannot_do_it_and_goes_on():
    ours, theirs = pair()
    supervisor, worker = Channel(ours, hears="worker"), Channel(theirs, hears="supervisor")
    serving = threading.Thread(target=serve, args=(worker, {}))
    serving.start()
    try:
        said = []
        for kind in ("older", "another"):
            supervisor.post("task", Task(kind), job=1)
            said += [
                arrival.payload for _ in range(2) for arrival in supervisor.wait(10) if arrival.kind.name == "result"
            ]
        assert (
            [result.ok for result in said] == [False, False]
            and "older" in said[0].reason
            and "another" in said[1].reason
        )
    finally:
        supervisor.post("stop", Stop("the test is over"))
        serving.join(10)
        worker.close()
        supervisor.close()


def test_who_has_left_before_a_job_ends_is_sent_no_answer(shared, client, file):
    workers = [worker.serial for worker in shared.view().workers]
    for serial in workers:
        client.signal(serial, "STOP")
    try:
        left = client.submit("digest", file, want="both")
        client.settle()
        waited_for = client.submit("digest", file, want="both")
    finally:
        for serial in workers:
            client.signal(serial, "CONT")
    assert client.answer(waited_for.job, 10).state == "done"
    eventually(
        lambda: [record for record in shared.records() if type(record) is JobEnded and record.id == left.job],
        "both have ended",
    )
    kinds = {job: [BY_CODE[message.kind].name for message in of_job(shared, job)] for job in (left.job, waited_for.job)}
    assert kinds == {
        left.job: ["submit", "accepted", "task", "result"],
        waited_for.job: ["submit", "accepted", "task", "result", "answer"],
    }


def test_ids_and_times_grow_in_the_journal(shared, client):
    client.submit("echo", data=b"x", want="ended")
    ids = [record.id for record in shared.records() if type(record) is Message]
    assert ids == sorted(set(ids))


def test_housekeeping_is_counted_and_not_journaled(shared, client, file):
    client.submit("digest", file, want="ended")
    client.settle()
    kinds = {BY_CODE[record.kind].name for record in shared.records() if type(record) is Message}
    assert not [kind for kind in kinds if BY_NAME[kind].housekeeping]
    counted = eventually(
        lambda: (seen := shared.view().messages.housekeeping).get("receipt") and seen, "housekeeping is counted"
    )
    assert counted["welcome"] >= 1 and counted["release"] >= 1


LEAVING = """
import sys
if "pairscope.work.worker" in sys.orig_argv:
    import signal
    from pairscope.ipc import channel

    prepare = channel.Channel.prepare

    def leave(self, kind, payload=None, *more, **named):
        if kind == "result" and payload.result.get("text") == "leave":
            self.close()
            signal.pause()
        return prepare(self, kind, payload, *more, **named)

    channel.Channel.prepare = leave
"""
"""A worker closes its end for good and lives on."""


def test_what_was_counted_of_a_channel_is_counted_once_when_it_is_closed_and_when_its_process_is_gone(tmp_path, file):
    (tmp_path / "sitecustomize.py").write_text(LEAVING)
    with running(
        tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}", PAIRSCOPE_SANDBOX="none", PAIRSCOPE_WORKERS="1"
    ) as pool:
        for _ in range(3):  # after each of them the worker's channel carries one release
            pool.client.submit("digest", file, want="ended")
        with contextlib.closing(Client(pool.settings, "tool")) as other:
            assert other.serial
        pool.client.begin("echo", data=b"leave")
        pool.client.flush()
        eventually(
            lambda: [record for record in pool.records() if type(record) is Outcome and record.state == "unknown"],
            "the worker has closed its end",
        )
        now = time.time_ns()
        closed = eventually(lambda: (view := pool.view()).at > now and view, "a snapshot is made")
        (worker,) = closed.workers
        os.kill(worker.pid, signal.SIGKILL)
        gone = eventually(
            lambda: worker.pid not in [seen.pid for seen in pool.view().workers] and pool.view(),
            "the worker is reaped and replaced",
        )
    assert worker.serial == 1, "it is still in the picture"
    for view in (closed, gone):
        assert {kind: view.messages.housekeeping[kind] for kind in ("release", "enter", "welcome")} == {
            "release": 3,
            "enter": 2,
            "welcome": 2,
        }


LOOKING = """
import sys
if sys.orig_argv[-1].endswith(".pool"):
    import fcntl

    def hook(event, arguments):
        if event == "fcntl.fcntl" and arguments[1] == fcntl.F_GETFL:
            print("looked at", arguments[0], file=sys.stderr, flush=True)

    sys.addaudithook(hook)
"""
"""A supervisor that says in its log which descriptor's object it looks at: each look asks fcntl(2) for its flags,
once."""


def test_a_descriptor_that_is_submitted_is_looked_at_once(tmp_path, file):
    (tmp_path / "sitecustomize.py").write_text(LOOKING)
    with running(tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}") as pool:
        pool.ready()

        def looks() -> int:
            return pool.log.read_text().count("looked at")

        before = looks()
        writable = os.open(tmp_path / "writable", os.O_RDWR | os.O_CREAT)
        assert refusal(pool.client.submit, "digest", writable)[0] == "bad-request"
        os.close(writable)
        assert looks() == before + 1, "when it arrived"
        pool.client.submit("digest", file, want="ended")
        assert looks() == before + 3, "when it arrived, and when it went to a worker"


def test_a_worker_keeps_nothing_of_a_job_that_is_over(shared, client, file):
    client.submit("compress", file, want="ended")

    def held() -> list[str]:
        found = []
        for worker in shared.view().workers:
            for name in os.listdir(f"/proc/{worker.pid}/fd"):
                found.append(os.readlink(f"/proc/{worker.pid}/fd/{name}"))
        return [link for link in found if link.startswith("/memfd:") or link.endswith("/input")]

    eventually(lambda: not held(), "the workers have closed what they were handed")


def test_a_worker_holds_one_end_of_one_pair_and_nothing_else_of_the_pool(shared):
    for worker in shared.ready().workers:
        links = {name: os.readlink(f"/proc/{worker.pid}/fd/{name}") for name in os.listdir(f"/proc/{worker.pid}/fd")}
        assert [name for name, link in links.items() if link.startswith("socket:")] == ["3"], links
        assert set(links) <= {"0", "1", "2", "3"}


# ---- deaths


def test_a_worker_that_dies_in_a_job_fails_it_once_in_words_and_is_replaced(pool, file):
    stop_workers(pool)
    accepted = pool.client.submit("compress", file, name="slow", want="both")
    busy = eventually(lambda: [worker for worker in pool.view().workers if worker.state == "busy"], "a worker is busy")[
        0
    ]
    pool.client.signal(busy.serial, "KILL")
    answer = pool.client.answer(accepted.job, 10)
    assert (answer.state, answer.worker) == ("failed", busy.serial)
    assert answer.reason == f"worker {busy.serial} died with the job in hand: killed by SIGKILL"
    pool.ready()
    ended = [record for record in pool.records() if type(record) is JobEnded and record.id == accepted.job]
    assert len(ended) == 1
    assert [
        record.exit
        for record in pool.records()
        if type(record) is Ended and record.serial == busy.serial and record.role == "worker"
    ] == ["killed by SIGKILL"]
    task = next(message for message in of_job(pool, accepted.job) if BY_CODE[message.kind].name == "task")
    outcome = [record for record in pool.records() if type(record) is Outcome and record.message == task.id]
    assert [(record.state, record.reason) for record in outcome] == [
        ("unknown", f"worker {busy.serial} ended before it reported")
    ]


HOSTILE = """
import sys
if "pairscope.work.worker" in sys.orig_argv:
    import msgspec
    from pairscope.ipc import channel
    from pairscope.ipc.envelope import Envelope, Receipt
    from pairscope.ipc.vocabulary import BY_NAME

    def deep(depth):
        return msgspec.Raw(b"\\x91" * depth + b"\\x01")

    def nested(depth):
        value = {}
        for _ in range(depth):
            value = {"a": value}
        return value

    EVIL = [
        ({"ok": True, "result": {"a": msgspec.msgpack.Ext(5, b"x")}}, {}),
        ({"ok": True, "result": {"a": {None: 1, (1, 2): 2}}}, {}),
        ({"ok": True, "result": {"a": deep(900)}}, {}),
        ({"ok": True, "result": {"a": deep(50_000)}}, {}),
        ({"ok": True, "result": {"a": float("nan"), "b": "\\0" * 9000}}, {}),
        ({"ok": False, "reason": "\\n" * 60_000}, {}),
        ({"ok": True}, {"job": 1}),
        ({"ok": True}, {"job": (1 << 64) - 1}),
        ({"ok": True}, {"spill": -(1 << 63)}),
        ({"ok": True}, {"receipts": [Receipt(1 << 62, 1, 0, [1 << 30] * 1000)]}),
        ({"ok": True, "result": nested(16)}, {}),
        ({"ok": True, "result": {"a": [0] * 20_000}}, {}),
    ]
    prepare = channel.Channel.prepare

    def hostile(self, kind, payload=None, *more, **named):
        if kind != "result":
            return prepare(self, kind, payload, *more, **named)
        evil, header = EVIL[int(payload.result["text"])]
        out = prepare(self, kind, evil, *more, **named)
        for name, value in header.items():
            setattr(out.envelope, name, value)
        return out

    channel.Channel.prepare = hostile
"""


def test_no_result_of_a_worker_stops_the_supervisor_and_each_job_ends(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HOSTILE)
    with running(tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}", PAIRSCOPE_SANDBOX="none") as pool:
        pool.ready()
        for number in range(12):
            answer = pool.client.submit("echo", data=b"%d" % number, want="ended", timeout=20)
            assert answer.state in ("done", "failed")
            if number >= 10:
                assert answer.state == "failed" and "cannot be recorded: it " in answer.reason
        assert pool.process.poll() is None
        ended = [record for record in pool.records() if type(record) is JobEnded]
        assert len({record.id for record in ended}) == len(ended) == 12


BOASTING = """
import sys
if "pairscope.work.worker" in sys.orig_argv:
    import os
    from pairscope.ipc import channel

    prepare = channel.Channel.prepare

    def boast(self, kind, payload=None, *more, **named):
        if kind == "hello":
            payload.sandbox_detail = {"a": "x" * 9000}
        return prepare(self, kind, payload, *more, **named)

    try:
        os.mkdir(os.path.dirname(__file__) + "/boasted")
        channel.Channel.prepare = boast
    except FileExistsError:
        pass
"""
"""The first worker says more of its sandbox than the record should hold."""


def test_a_worker_that_says_too_much_of_its_sandbox_is_replaced_and_the_pool_lives_on(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BOASTING)
    with running(
        tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}", PAIRSCOPE_SANDBOX="none", PAIRSCOPE_WORKERS="1"
    ) as pool:
        answer = pool.client.submit("echo", data=b"x", want="ended")
        assert (answer.state, answer.worker) == ("done", 2)
        of_workers = [record for record in pool.records() if type(record) in (Ready, Ended) and record.role == "worker"]
        assert [(type(record), record.serial) for record in of_workers] == [(Ended, 1), (Ready, 2)]
        assert of_workers[0].exit.startswith(
            "killed by SIGKILL, for its fault: the particulars of its sandbox have 9008 bytes"
        )
        said = (
            r"worker 1 \(pid \d+\): the particulars of its sandbox have 9008 bytes or are nested deeply; expected "
            r"at most 8192, nearly flat; its channel is closed"
        )
        assert re.search(said, pool.log.read_text())


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (
            fields(a="x" * 9000),
            "the particulars of its sandbox have 9008 bytes or are nested deeply; expected at most 8192, nearly flat",
        ),
        (
            fields(a="deep").replace(b"\xa4deep", b"\x91" * 200 + b"\x01"),
            "the particulars of its sandbox have 407 bytes or are nested deeply",
        ),
        (
            fields(a="deep").replace(b"\xa4deep", b"\x91" * 900 + b"\x01"),
            "cannot be written as JSON|have 1807 bytes or are nested deeply",
        ),
        (fields(a=msgspec.msgpack.Ext(5, b"x")), "cannot be written as JSON"),
    ],
    ids=["long", "nested", "nested as deeply as can be read", "no JSON"],
)
def test_a_station_that_says_too_much_of_its_sandbox_loses_its_channel_and_nobody_else_does(
    shared, client, detail, words
):
    with contextlib.closing(attach(shared.settings)) as line:
        line.post("enter", Enter("lab"))
        (welcome,) = line.wait(10)
        hello = msgspec.msgpack.encode(Hello(os.getpid(), "none", {"a": "particulars"}, [SCENARIOS]))
        send(line.sock, a_packet("hello", hello.replace(fields(a="particulars"), detail)))
        with pytest.raises(ChannelClosed):
            line.wait(10)

    def ended() -> list[Ready | Ended]:
        of_it = [
            record
            for record in shared.records()
            if type(record) in (Ready, Ended) and (record.role, record.serial) == ("lab", welcome.payload.serial)
        ]
        return of_it if of_it and type(of_it[-1]) is Ended else []

    (end,) = eventually(ended, "its end is journaled")
    assert re.search(words, end.exit)
    assert client.submit("echo", data=b"x", want="ended").state == "done"


def test_jobs_that_wait_behind_the_one_that_dies_are_done_by_another_worker(pool):
    pool.client.scale(1)
    (worker,) = eventually(lambda: len(pool.view().workers) == 1 and pool.view().workers, "one worker is left")
    os.kill(worker.pid, signal.SIGSTOP)
    begun = [pool.client.begin("echo", data=b"%d" % number) for number in range(20)]
    pool.client.flush()
    eventually(lambda: pool.view().workers[0].in_flight == 20, "all wait with the stopped worker")
    os.kill(worker.pid, signal.SIGKILL)
    ended = {}
    while len(ended) < 20:
        ended.update(pool.client.ended())
    assert [ended[seq].state for seq in begun] == ["failed"] + ["done"] * 19
    starts = collections.Counter(
        record.job for record in pool.records() if type(record) is Message and record.kind == BY_NAME["task"].code
    )
    assert sorted(starts.values()) == [1] + [2] * 19


def test_what_a_worker_reported_with_its_last_result_is_in_the_record_though_it_died_in_the_same_turn(pool):
    pool.client.scale(1)
    (worker,) = eventually(lambda: len(pool.view().workers) == 1 and pool.view().workers, "one worker is left")
    os.kill(worker.pid, signal.SIGSTOP)
    pool.client.begin("echo", data=b"last words")
    pool.client.flush()
    eventually(lambda: pool.view().workers[0].in_flight == 1, "the worker has the task")
    supervisor = pool.view().supervisor.pid
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(worker.pid, signal.SIGCONT)
        stat = Path(f"/proc/{worker.pid}/stat")
        eventually(
            lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "it has answered and waits for the next"
        )
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "it is dead")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    ((_, answer),) = pool.client.ended()
    assert answer.state == "done"
    (task,) = [message for message in of_job(pool, answer.job) if message.kind == BY_NAME["task"].code]
    outcomes = eventually(
        lambda: [record.state for record in pool.records() if type(record) is Outcome and record.message == task.id],
        "it is decided",
    )
    assert outcomes == ["received"]


def test_a_running_job_can_be_cancelled_and_a_waiting_one_too(pool, file):
    pool.client.scale(1)
    eventually(lambda: len(pool.view().workers) == 1, "one worker is left")
    stop_workers(pool)
    running_job = pool.client.submit("compress", file, want="both")
    waiting = pool.client.submit("compress", file, want="both")
    assert "cancelled before it began" in pool.client.cancel(waiting.job)
    assert "is being killed" in pool.client.cancel(running_job.job)
    answers = {job: pool.client.answer(job, 10) for job in (waiting.job, running_job.job)}
    assert {answer.state for answer in answers.values()} == {"cancelled"}
    assert "had ended before: cancelled" in pool.client.cancel(running_job.job)
    assert pool.view().jobs.cancelled == 2 or eventually(lambda: pool.view().jobs.cancelled == 2, "both are counted")
    worker = answers[running_job.job].worker
    assert answers[running_job.job].reason == f"through tool {pool.client.serial}; worker {worker} was killed for it"
    assert answers[waiting.job].reason == f"through tool {pool.client.serial}"
    assert exit_of(pool, worker) == f"killed by SIGKILL, to cancel job {running_job.job}"


def test_a_worker_that_is_killed_because_its_job_is_late_says_so_at_its_end(tmp_path, file):
    with running(tmp_path) as pool:
        pool.ready()
        stop_workers(pool)
        job = pool.client.submit("compress", file).job
        eventually(lambda: pool.view().jobs.running == 1, "the job runs")
        worker = next(worker.serial for worker in pool.view().workers if worker.job)
        pool.stop()
        assert exit_of(pool, worker) == f"killed by SIGKILL, for job {job}: the pool stopped and waited 3 s for it"


def test_a_worker_that_a_signal_has_stopped_is_shown_as_stopped_until_it_goes_on(pool):
    one, other = pool.view().workers
    pool.client.signal(one.serial, "STOP")
    eventually(
        lambda: (
            {worker.serial: worker.standing for worker in pool.view().workers}
            == {one.serial: "stopped", other.serial: "idle"}
        ),
        "one is stopped",
    )
    assert checks(pool.view())["pool"].detail.startswith("1 of 2 workers ready, 1 stopped by a signal")
    pool.client.signal(one.serial, "CONT")
    eventually(lambda: {worker.standing for worker in pool.view().workers} == {"idle"}, "it has gone on")


def test_an_idle_recorder_that_is_killed_is_replaced(pool):
    pool.drained()
    first = pool.ready().recorder
    os.kill(first.pid, signal.SIGKILL)
    eventually(
        lambda: (seen := pool.view().recorder).serial == first.serial + 1 and seen.state == "ok",
        "another recorder is heard",
    )


def test_a_worker_that_dies_of_a_signal_without_a_name_is_told_by_its_number(pool):
    worker = pool.view().workers[0]
    os.kill(worker.pid, 40)
    (ended,) = eventually(
        lambda: [
            record
            for record in pool.records()
            if type(record) is Ended and (record.role, record.serial) == ("worker", worker.serial)
        ],
        "its end is journaled",
    )
    assert ended.exit == "killed by signal 40"
    pool.ready()


def test_a_dead_worker_whose_end_somebody_else_still_holds_is_replaced(pool):
    worker = pool.view().workers[0]
    held = end_of(worker.pid, 3)
    os.kill(worker.pid, signal.SIGKILL)
    try:
        eventually(lambda: worker.serial not in [seen.serial for seen in pool.view().workers], "its death is noticed")
        pool.ready()
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
    finally:
        os.close(held)


def test_a_stop_is_obeyed_although_the_disk_is_full(pool):
    """RLIMIT_FSIZE stands for the full disk."""
    pool.drained()
    journal = max(pool.settings.journal.glob("*.journal"))
    resource.prlimit(pool.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))
    pool.client.begin("echo", data=b"x" * 100)
    pool.client.flush()
    eventually(lambda: "nothing is acknowledged until it can" in pool.log.read_text(), "the journal is stuck")
    assert pool.stop() == 1
    assert "stopped without its last records" in pool.log.read_text()


def test_a_full_disk_with_room_again_loses_nothing(pool):
    pool.drained()
    journal = max(pool.settings.journal.glob("*.journal"))
    resource.prlimit(pool.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))
    seq = pool.client.begin("echo", data=b"x" * 100)
    pool.client.flush()
    eventually(lambda: "nothing is acknowledged until it can" in pool.log.read_text(), "the journal is stuck")
    resource.prlimit(pool.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ((answered, answer),) = pool.client.ended()
    assert (answered, answer.state) == (seq, "done")


def test_a_recorder_that_dies_while_the_disk_is_full_is_replaced(pool):
    """It alone can make room."""
    for _ in range(100):
        # then the bound on files leaves room for the snapshot
        pool.client.submit("echo", data=b"x" * 200, want="ended")
    recorder = pool.drained().recorder
    journal = max(pool.settings.journal.glob("*.journal"))
    resource.prlimit(pool.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))
    seq = pool.client.begin("echo", data=b"x" * 100)
    pool.client.flush()
    eventually(lambda: "nothing is acknowledged until it can" in pool.log.read_text(), "the journal is stuck")
    os.kill(recorder.pid, signal.SIGKILL)
    successor = eventually(
        lambda: (view := pool.view()).recorder.serial > recorder.serial and view, "another is born"
    ).recorder
    for pid in (successor.pid, pool.process.pid):  # it was born with the bound
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ((answered, answer),) = pool.client.ended()
    assert (answered, answer.state) == (seq, "done")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("outbox", "it read nothing while 8192 messages waited"), ("sendmsg", "sendmsg to it failed: Message too long")],
    ids=["an outbox that is full", "a sendmsg that fails"],
)
def test_what_is_decided_when_another_cannot_be_written_to_is_not_sent_before_it_is_journaled(pool, trouble, reason):
    """A client is about to be answered one thing, when it turns out that its scenario's station cannot be written to
    and it is to be told of the scenario's end, too, for which the journal has no room. RLIMIT_FSIZE stands for the full
    disk."""
    pid = pool.process.pid
    with contextlib.ExitStack() as ends:
        before = sockets(pid)
        station = ends.enter_context(contextlib.closing(connect(pool.settings, "lab")[0]))
        (stations_other_end,) = sockets(pid) - before
        client = ends.enter_context(contextlib.closing(connect(pool.settings, "tool")[0]))

        def ask(channel: Channel, times: int) -> None:
            """Lookups, in one packet: they and their answers stand in no record."""
            channel.send([channel.prepare("lookup", Lookup(LARGEST), seq=1 << 62) for _ in range(times)])

        def stuck() -> bool:
            return "nothing is acknowledged until it can" in pool.log.read_text()

        station.post("hello", Hello(os.getpid(), "none", {}, [SCENARIOS]))
        scenario = memfd.sealed("a scenario", b"p: pipe -> r w\n")
        client.post("submit", Submit(LAB, want=3), fds=[scenario])
        (accepted,) = client.wait(10)
        os.close(scenario)
        eventually(lambda: station.readable, "the scenario is in the station's socket")
        if trouble == "sendmsg":
            with socket.socket(fileno=end_of(pid, stations_other_end)) as end:
                # the kernel's least, 4.5 KiB: 64 answers have more
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)
        else:
            for _ in range(OUTBOX_MOST // TOGETHER):
                ask(station, TOGETHER)
            eventually(
                lambda: not any(fcntl.ioctl(station.sock, termios.TIOCOUTQ, bytes(4))), "the supervisor has read them"
            )
        ask(client, 1)
        assert [arrival.kind.name for arrival in client.wait(10)] == ["known"], (
            "what the client had to report is in the journal, too"
        )

        journal = max(pool.settings.journal.glob("*.journal"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))
        while not stuck():
            with standing_still(pool):
                ask(station, TOGETHER)
                ask(client, 1)
            eventually(lambda: client.readable or stuck(), "the client is answered, or nobody is any more")
            if client.readable:
                assert [arrival.kind.name for arrival in client.wait(10)] == ["known"], (
                    "the scenario's end is not in the journal"
                )
        assert not client.readable
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        known, answer = client.wait(10)
    assert (known.kind.name, answer.payload.job, answer.payload.state) == ("known", accepted.payload.job, "failed")
    assert reason in answer.payload.reason
    assert [
        record.kind for record in pool.records() if type(record) is Message and record.id == answer.envelope.id
    ] == [BY_NAME["answer"].code]


def test_workers_come_and_go_at_run_time(pool):
    pool.client.scale(4)
    assert len(pool.ready(4).workers) == 4
    pool.client.scale(1)
    eventually(lambda: len(pool.view().workers) == 1, "one worker is left")
    asked = [record.asked for record in pool.records() if type(record) is Ended and record.role == "worker"]
    assert asked == [True] * 3


def test_a_worker_that_is_no_longer_wanted_ends_its_job_first(pool, file):
    workers = pool.ready(2).workers
    stop_workers(pool)
    jobs = [pool.client.submit("digest", file).job for _ in workers]
    eventually(lambda: pool.view().jobs.running == 2, "each has a job")
    pool.client.scale(1)
    for worker in workers:
        os.kill(worker.pid, signal.SIGCONT)
    eventually(lambda: len(pool.view().workers) == 1, "one worker is left")
    ended = {record.id: record.state for record in pool.records() if type(record) is JobEnded}
    assert [ended[job] for job in jobs] == ["done", "done"] and pool.process.poll() is None
    assert [record.asked for record in pool.records() if type(record) is Ended and record.role == "worker"] == [True]


def test_a_killed_supervisor_takes_its_children_with_it_and_the_next_one_goes_on(tmp_path):
    with running(tmp_path) as pool:
        view = pool.ready()
        assert view.epoch == 1 and [worker.serial for worker in view.workers] == [1, 2]
        first = pool.client.submit("echo", data=b"x", want="ended").job
        pids = [worker.pid for worker in view.workers] + [view.recorder.pid]
        pool.process.kill()
        pool.process.wait()
        for pid in pids:
            eventually(lambda: not leaks.runs(pid), f"child {pid} has ended")
    with running(tmp_path) as pool:
        view = pool.ready()
        assert pool.client.submit("echo", data=b"x", want="ended").job > first
        assert view.epoch == 2 and [worker.serial for worker in view.workers] == [3, 4]


def test_an_orderly_stop_ends_what_runs_and_leaves_nothing(tmp_path):
    with running(tmp_path) as pool:
        view = pool.ready()
        jobs = [pool.client.submit("echo", data=b"x", want="accepted").job for _ in range(50)]
        assert pool.stop() == 0
        ended = {record.id: record.state for record in pool.records() if type(record) is JobEnded}
        assert [ended[job] for job in jobs] == ["done"] * 50
        for worker in view.workers:
            assert not leaks.runs(worker.pid)
        assert not pool.settings.control.exists() and not pool.settings.snapshot.exists()
        power.fail(pool.settings.journal, 1 << 62)
        with contextlib.closing(Writer(pool.settings.journal)) as next_one:
            assert not next_one.lost, "when the machine is started again, nobody need fear for records"


def test_a_stop_waits_for_a_long_job_only_as_long_as_it_may(tmp_path, file):
    with running(tmp_path) as pool:
        pool.ready()
        stop_workers(pool)
        accepted = pool.client.submit("compress", file, want="accepted")
        eventually(lambda: pool.view().jobs.running == 1, "the job runs")
        assert pool.stop() == 0
        (ended,) = [record for record in pool.records() if type(record) is JobEnded and record.id == accepted.job]
        assert ended.state == "failed" and "the pool stopped and waited 3 s" in ended.reason


def test_an_orderly_stop_is_in_the_journal_although_no_recorder_is_there(pool):
    pool.ready()
    for _ in range(3):  # each dies at birth, and the pause before the next one doubles
        recorder = eventually(lambda: (seen := pool.view().recorder).pid and seen, "a recorder is there", 10)
        os.kill(recorder.pid, signal.SIGKILL)
        eventually(lambda: pool.view().recorder.pid != recorder.pid, "it is seen to be dead")
    eventually(lambda: not pool.view().recorder.pid, "none is there")
    assert pool.stop() == 0
    last = pool.records()[-1]
    assert type(last) is Ended and (last.role, last.exit) == ("supervisor", "stopped")


def test_a_second_supervisor_is_kept_out_by_the_lock(pool):
    environment = {**os.environ, "PAIRSCOPE_STATE": str(pool.settings.state)}
    second = subprocess.run(
        [sys.executable, "-m", "pairscope.pool"], env=environment, capture_output=True, text=True, timeout=20
    )
    assert second.returncode == 3 and f"held by the supervisor with pid {pool.process.pid}" in second.stderr
    assert pool.client.submit("echo", data=b"x", want="ended").state == "done"


def test_a_client_finds_the_next_supervisor_by_itself(tmp_path):
    with running(tmp_path) as pool:
        client = Client(pool.settings, "tool")
        assert client.submit("echo", data=b"1", want="ended").state == "done"
    with pytest.raises(PoolAway, match="no supervisor listens|went away"):
        client.submit("echo", data=b"2", want="ended")
    with running(tmp_path):
        assert client.submit("echo", data=b"3", want="ended").state == "done"
        client.close()


def test_a_path_longer_than_an_address_holds_is_no_obstacle(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 60)
    deep.mkdir(parents=True)
    with running(deep) as pool:
        assert len(str(pool.settings.control)) > 160
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"


def test_a_full_journal_refuses_new_jobs_counts_it_and_recovers_when_it_is_drained(tmp_path):
    settings = tmp_path / "pool.toml"
    settings.write_text(
        f'state = "{tmp_path}"\n'
        f'run = "{tmp_path}/run"\n'
        "journal_segment = 65536\n"
        "journal_limit = 131072\n"
        'history_url = "sqlite:////nowhere/at/all"\n'
    )
    from pairscope.config import read

    process = subprocess.Popen(
        [sys.executable, "-m", "pairscope.pool"],
        env={**os.environ, "PAIRSCOPE_SETTINGS": str(settings)},
        stderr=subprocess.DEVNULL,
    )
    pool = Pool(read(settings), process, tmp_path)
    try:
        eventually(lambda: pool.view().catalogue, "a worker is ready", 20)
        code = ""
        for _ in range(2000):
            try:
                pool.client.submit("echo", data=b"x", want="ended")
            except PoolRefused as error:
                code = error.code
                break
        assert code == "journal-full"
        journal = eventually(lambda: (seen := pool.view().journal).refusals and seen, "the refusal is counted")
        assert journal.refusals == 1 and journal.bytes >= journal.limit
        assert "goes from" in pool.client.scale(3), "what is no new job is still heard"
        with pytest.raises(PoolAway, match="refused: The journal waits for the database"):
            for _ in range(2000):
                with contextlib.closing(Client(pool.settings, "tool")) as another:
                    assert another.serial
        assert pool.view().journal.bytes < 1.3 * journal.limit + 65536, (
            "those who come again and again do not make it grow"
        )
    finally:
        assert pool.stop() == 0


def test_what_waits_is_bounded_by_its_bytes_and_one_job_alone_never_is(tmp_path):
    settings = tmp_path / "pool.toml"
    settings.write_text(f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\nqueue_bytes = 100000\nworkers = 1\n')
    with running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        (worker,) = pool.ready(1).workers
        os.kill(worker.pid, signal.SIGSTOP)
        jobs = [pool.client.submit("echo", data=b"x" * 120_000).job]
        with pytest.raises(
            PoolRefused, match="at most 100000 bytes together. They have 120[0-9]{3}, this one 10[0-9]{2}"
        ) as refused:
            pool.client.submit("echo", data=b"y" * 1000)
        assert refused.value.code == "queue-full"
        os.kill(worker.pid, signal.SIGCONT)
        ended = eventually(
            lambda: (
                (found := {r.id: r.state for r in pool.records() if type(r) is JobEnded}).keys() >= set(jobs) and found
            ),
            "it has ended",
        )
        assert [ended[job] for job in jobs] == ["done"]
        assert pool.client.submit("echo", data=b"y" * 1000, want="ended").state == "done"


def test_an_end_nobody_asked_for_is_in_the_record_of_a_job_whose_client_has_gone(pool):
    client = Client(pool.settings, "tool")
    job = client.submit("echo", data=b"x", want="accepted").job
    client.close()
    eventually(
        lambda: [record for record in pool.records() if type(record) is JobEnded and record.id == job],
        "the job has ended",
    )
    assert next(record for record in pool.records() if type(record) is JobSubmitted and record.id == job).role == "tool"


def test_a_killed_recorder_is_replaced_and_nothing_is_missing(pool):
    first = pool.ready().recorder
    for _ in range(200):
        pool.client.begin("echo", data=b"x")
    pool.client.flush()
    os.kill(first.pid, signal.SIGKILL)
    ended = 0
    while ended < 200:
        ended += len(pool.client.ended())
    pool.client.settle()
    eventually(
        lambda: pool.view().recorder.serial == first.serial + 1 and pool.view().recorder.state == "ok",
        "another recorder is heard",
    )
    pool.drained()
    database = engine(pool.settings.history_url)
    with database.connect() as connection:
        rows = dict(connection.execute(select(Row.kind, func.count()).group_by(Row.kind)).all())
    database.dispose()
    assert {kind: rows[kind] for kind in ("submit", "task", "result", "answer")} == dict.fromkeys(
        ("submit", "task", "result", "answer"), 200
    )


def test_an_idle_time_is_not_told_as_the_recorders_lag(tmp_path):
    with running(tmp_path) as pool:
        view = pool.ready()
        pool.client.submit("echo", data=b"x", want="ended")
        pool.client.settle()
        idle = eventually(lambda: (seen := pool.view()).recorder.lag == 0 and seen, "everything is drained")
        eventually(lambda: pool.view().at > idle.at + 3 * 10**9, "it was idle for some snapshots")
        os.kill(view.recorder.pid, signal.SIGSTOP)
        try:
            begin = time.time_ns()
            pool.client.submit("echo", data=b"x", want="ended")
            seen = eventually(lambda: (seen := pool.view()).recorder.lag > 0 and seen, "something waits")
        finally:
            os.kill(view.recorder.pid, signal.SIGCONT)
        assert seen.recorder.lag_ns <= seen.at - begin


def column(pool: Pool, of: Any) -> set[int]:
    """Every value that it has in the database."""
    database = engine(pool.settings.history_url)
    with database.connect() as connection:
        values = set(connection.scalars(select(of)))
    database.dispose()
    return values


def test_what_is_acknowledged_after_a_power_failure_is_in_the_record_beside_what_was_before(tmp_path):
    with running(tmp_path) as pool:
        view = pool.ready()
        for _ in range(20):
            pool.client.submit("echo", data=b"x", want="ended")
        eventually(lambda: len(column(pool, Row.id)) >= 80, "the jobs are in the record")
        pool.process.kill()
        pool.process.wait()
        eventually(lambda: not leaks.runs(view.recorder.pid), "the recorder has ended")
    before = column(pool, Row.id)
    [(begin, _)] = segment.listed(pool.settings.journal)
    hour = first_id_at(time.time_ns() + 3600 * 10**9)
    power.fail(pool.settings.journal, begin, last_id=hour)
    with running(tmp_path) as pool:
        pool.ready()
        jobs = [pool.client.submit("echo", data=b"x", want="ended").job for _ in range(20)]
        assert time_of(min(jobs)) - time_of(hour) >= 60 * 10**9, "no id is issued again although the clock was set back"
        eventually(
            lambda: (
                (recorder := pool.view().recorder).position > begin and (recorder.quarantined, recorder.lag) == (1, 0)
            ),
            "the gap is told and passed",
        )
        after = {record.id for record in pool.records() if type(record) is Message}
        assert (
            not before & after and sum(record.job in jobs for record in pool.records() if type(record) is Message) == 80
        )
        eventually(lambda: column(pool, Row.id) == before | after, "each message is in the record")
        assert column(pool, Position.epoch) == {pool.view().journal.first}, "an older recorder could not write any more"


def test_workers_that_die_before_they_were_of_use_are_replaced_after_a_growing_pause(pool):
    for _ in range(2):
        for worker in pool.ready().workers:
            os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: not {worker.pid for worker in pool.view().workers} & {worker.pid}, "the dead are seen")
    pool.ready()
    born = [record.at for record in pool.records() if type(record) is Born and record.role == "worker"]
    ended = [record.at for record in pool.records() if type(record) is Ended and record.role == "worker"]
    assert len(ended) == 4 and born[-1] - ended[-1] > 1.9e9, "the fourth death is followed by a pause of two seconds"


def test_the_snapshot_of_a_dead_supervisor_is_not_believed(pool):
    pool.ready()
    pool.process.kill()
    pool.process.wait()
    assert pool.settings.snapshot.exists()
    with pytest.raises(AssertionError, match="no snapshot"):
        pool.view()
    said = msgspec.json.decode(pool.settings.snapshot.read_bytes())
    assert said["supervisor"]["pids"] == os.stat("/proc/self/ns/pid").st_ino
    said["supervisor"]["pids"] += 1
    pool.settings.snapshot.write_bytes(msgspec.json.encode(said | {"at": time.time_ns()}))
    assert pool.view().epoch == said["epoch"], "a pid of another namespace says nothing here: the age alone does"


def test_viewers_are_recorded_as_live_tells_of_them_within_a_bound_and_nobody_else_may_tell(pool: Pool) -> None:
    channel, welcome = connect(pool.settings, "live")
    told = Viewer(4711, 9, 8, 1042, os.O_RDWR, time.monotonic_ns())
    for _ in range(400):
        channel.post("viewer", told)
    found = eventually(
        lambda: (found := [record for record in pool.records() if type(record) is HandedOver]) and found, "recorded"
    )
    assert found[0].transfer.inode == 1042 and found[0].sender_pid == 4711 and found[0].serial == welcome.serial
    channel.post("lookup", Lookup(1))  # answered behind all of them
    assert channel.wait(10)
    found = [record for record in pool.records() if type(record) is HandedOver]
    assert 40 <= len(found) < 400, "40 in each second that it took"
    assert len({record.id for record in found}) == len(found)
    channel.close()
    notice = Notice(pool.settings)
    assert notice.connect(100.0) is not None
    assert [notice.handed(told, 100.0) for _ in range(21)] == [*[True] * 20, False], "live reports no more"
    assert notice.handed(told, 101.0)
    notice.close()
    assert not notice.handed(told, 200.0)
    other, _ = connect(pool.settings, "tool")
    other.post("viewer", told)
    with pytest.raises(ChannelClosed):
        other.wait(10)
    other.close()
