"""The recorder of real programs: docs/recorder.md. The programs are those of tests/programs/recorded/, in C, and ones
that stand here."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.trace.file import MAGIC, NoRecording, Recording
from tests import traced
from tests.conftest import PLACES
from tests.eventually import eventually
from tests.traced import (
    APP,
    NGINX,
    USERS,
    answer,
    bare,
    compiled,
    confined,
    living,
    pairscope,
    process,
    recorded,
    tracees,
)

programs = traced.programs


@process
@compiled
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("program", ["passing", "dropping", "turning"])
def test_a_program_does_the_same_when_it_is_recorded(programs: Path, program: str, user: str) -> None:
    run = recorded(programs, str(programs / program), user=user)
    assert (run.out, run.status) == bare(str(programs / program)), run.err
    assert "the last process has ended" in run.err


@process
@compiled
@pytest.mark.long
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("program", ["passing", "dropping", "turning"])
def test_it_does_so_twenty_times(programs: Path, program: str, user: str) -> None:
    expected = bare(str(programs / program))
    for _ in range(20):
        run = recorded(programs, str(programs / program), user=user)
        assert (run.out, run.status) == expected, run.err


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_every_passage_is_told_with_both_numbers_and_a_proof(programs: Path, user: str) -> None:
    run = recorded(programs, str(programs / "passing"), user=user)
    told = [(one["object"].split(" ")[0].removeprefix("/memfd:"), one["end"], one["proof"]) for one in run.passages()]
    sockets = [one for one in told if one[0].startswith("socket:")]
    assert sorted(one for one in told if one not in sockets) == [
        ("bequest", "received", "duplicate"), ("closed", "received", "duplicate"), ("early", "received", "duplicate"),
        ("kept", "received", "both"), ("nested", "received", "duplicate"), ("peeked", "peeked", "duplicate"),
        ("peeked", "received", "duplicate"),
    ]  # fmt: skip
    assert [one[1:] for one in sockets] == [("received", "duplicate")]
    counts = run.index.counts
    assert (counts.sent, counts.received, counts.proved, counts.peeked) == (7, 7, 7, 1)
    kept = next(one for one in run.passages() if "kept" in one["object"])
    assert kept["from"]["process"] == "passing" and kept["to"]["process"] == "passing#2"
    assert kept["from"]["step"] < kept["to"]["step"]
    steps = run.steps()
    sent, received = steps[kept["from"]["step"] - 1], steps[kept["to"]["step"] - 1]
    assert sent.call == "sendmsg" and sent.given["control"][0]["fds"] == [kept["from"]["number"]]
    assert received.call == "recvmsg" and received.gave["received"]["control"][0]["fds"] == [kept["to"]["number"]]


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_what_nobody_gets_is_dropped_and_its_end_arrives(programs: Path, user: str) -> None:
    run = recorded(programs, str(programs / "dropping"), user=user)
    assert run.out.count(": end\n") == 5 and "no end" not in run.out
    counts = run.index.counts
    assert counts.sent == counts.dropped == 8 and not counts.received


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_a_thread_with_its_own_table_and_one_whose_first_has_ended_pass_with_proof(programs: Path, user: str) -> None:
    run = recorded(programs, str(programs / "turning"), user=user)
    told = {one["object"]: (one["end"], bool(one["proof"])) for one in run.passages()}
    assert told == {"/memfd:own (deleted)": ("received", True), "/memfd:survivor (deleted)": ("received", True)}


@process
@compiled
@pytest.mark.parametrize("program", ["passing", "turning"])
def test_no_receipt_stands_before_its_sending_and_no_return_before_its_call(programs: Path, program: str) -> None:
    run = recorded(programs, str(programs / program))
    assert all(one["from"]["step"] < one["to"]["step"] for one in run.passages())
    steps = run.steps()
    for number, step in enumerate(steps, 1):
        assert step.of < number and (not step.of or steps[step.of - 1].blocked)
    waits = [step for step in steps if step.blocked]
    assert len(waits) == len({step.of for step in steps if step.of}), "each wait has its end"
    if program == "turning":  # over a stop the kernel takes it up again by restart_syscall
        *interrupted, last = [step.gave for step in steps if step.call == "poll" and step.of]
        assert last["value"] == 1 and interrupted and all(gave == {"again": True} for gave in interrupted)


@process
def test_a_program_has_the_signals_that_it_would_have(programs: Path) -> None:
    command = ("grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    assert recorded(programs, *command).out == bare(*command)[0]


HIDDEN = """
import ctypes, os, socket
libc = ctypes.CDLL(None)
libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [0])
print(len(socket.recv_fds(b, 1, 1)[1]))
"""


@process
@compiled
def test_a_process_that_hides_itself_from_an_ordinary_user_has_its_calls_told_and_a_gap(programs: Path) -> None:
    run = recorded(programs, sys.executable, "-c", HIDDEN, user="ordinary")
    assert (run.out, run.status) == ("1\n", 0), run.err
    assert "1 process hides its memory and its descriptors from this user; only its calls were seen" in run.err
    assert "a setuid program (sudo, su, ping) gets no rights of its owner" in run.err
    hidden = [step.call for step in run.steps() if step.hidden]
    assert {"socketpair", "sendmsg", "recvmsg"} <= set(hidden) and run.index.processes[0].hidden


@process
@compiled
def test_calls_of_another_abi_are_let_through_and_told(programs: Path) -> None:
    run = recorded(programs, str(programs / "foreign"))
    assert (run.out, run.status) == bare(str(programs / "foreign")), run.err
    if run.out:  # of another architecture it makes none, and a kernel may be built without
        assert "1 process made calls of i386 or x32, which were not followed" in run.err


@process
def test_a_name_that_a_terminal_would_obey_is_shown_in_letters(programs: Path) -> None:
    program = (
        "import os, socket\na, b = socket.socketpair()\n"
        "socket.send_fds(a, [b'x'], [os.memfd_create('\\x1b[31mred')])\nsocket.recv_fds(b, 1, 1)"
    )
    run = recorded(programs, sys.executable, "-c", program)
    shown = pairscope("--passages", str(run.path)).stdout
    assert "\x1b" not in shown and r"/memfd:\x1b[31mred" in shown


COUNTED = (
    "socketpair", "socket", "bind", "listen", "connect", "accept", "sendmsg", "recvmsg", "memfd_create", "pipe2",
    "clone", "wait4",
)  # fmt: skip


@process
@compiled
@pytest.mark.needs("strace")
@pytest.mark.parametrize("program", ["passing", "dropping"])
def test_it_counts_the_calls_that_strace_counts(programs: Path, program: str) -> None:
    run = recorded(programs, str(programs / program))
    traced = programs / "strace.out"
    subprocess.run(
        ["strace", "-f", "-o", traced, "-e", f"trace={','.join(COUNTED)}", programs / program],
        stdout=subprocess.DEVNULL, check=True, timeout=60,
    )  # fmt: skip
    lines = re.findall(r"^\d+ +(\w+)\(", traced.read_text(), re.MULTILINE)
    counted = collections.Counter[str]()
    for step in run.steps():
        if step.call in COUNTED and not step.of:
            counted[step.call] += step.count
    assert counted == collections.Counter(lines)


PASSES = Path(__file__).parent / "programs/real/spawned.py"


@process
def test_both_passages_of_multiprocessing_are_proved(programs: Path) -> None:
    program = programs / "passes.py"
    program.write_text(PASSES.read_text())
    run = recorded(programs, sys.executable, str(program))
    assert (run.out, run.status) == bare(sys.executable, str(program)), run.err
    assert [(one["end"], bool(one["proof"])) for one in run.passages()] == [("received", True)] * 2
    assert all(one["object"].startswith("socket:[") for one in run.passages())


@process
@pytest.mark.needs("nginx")
def test_all_six_passages_of_nginx_are_proved_over_its_start_a_reload_and_its_end(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(NGINX.format(at=tmp_path, user="" if os.geteuid() else "user root;"))
    nginx = shutil.which("nginx", os.F_OK, PLACES)
    words = ["-o", str(tmp_path / "of.rec"), "--", str(nginx), "-p", str(tmp_path), "-c", str(tmp_path / "conf")]
    with subprocess.Popen(
        [sys.executable, "-m", "pairscope", "record", *words, "-g", "daemon off;"],
        env={**os.environ, "PYTHONPATH": str(APP)}, stderr=subprocess.PIPE, text=True,
    ) as recorder:  # fmt: skip
        try:
            eventually(lambda: answer(tmp_path), "nginx answers")
            old = eventually(lambda: len(found := tracees(recorder.pid)) == 3 and found, "two workers are there")
            master = int((tmp_path / "pid").read_text())
            os.kill(master, signal.SIGHUP)
            eventually(lambda: answer(tmp_path) not in old, "another worker answers", timeout=20)
            eventually(lambda: len(tracees(recorder.pid)) == 3, "the old workers have ended", timeout=20)
            os.kill(master, signal.SIGQUIT)
            assert recorder.stderr is not None
            said = recorder.stderr.read()
            assert recorder.wait(30) == 0 and "descriptors sent 6, received 6, proved 6" in said, said
        finally:
            recorder.kill()
    with Recording(str(tmp_path / "of.rec")) as found:
        assert {process.name.partition("#")[0] for process in found.index.processes} == {"nginx"}
        assert os.stat(tmp_path / "of.rec").st_size < 60 * found.steps


# ---- how it ends


@process
@pytest.mark.parametrize(("words", "status", "said"), [
    (("sh", "-c", "exit 7"), 7, "the last process has ended"),
    (("sh", "-c", "kill -9 $$"), 137, "the program was killed by SIGKILL"),
    (("--seconds", "0.5", "--", "sleep", "100"), 0, "the bound of 0.5 seconds is reached"),
    (("--seconds", "0.5", "--", "sh", "-c", "trap '' TERM; kill -STOP $$"), 0, "the bound of 0.5 seconds is reached"),
    (("--steps", "50", "--", sys.executable, "-c", "import os\nwhile True: os.pipe(), os.closerange(3, 9)"), 0,
     "the bound of 50 steps is reached"),
    (("--processes", "9", "--", sys.executable, "-c", "import os\nwhile True: os.fork()"), 0,
     "the bound of 9 processes is reached"),
    (("no-such-program",), 1, "no-such-program is no program that can be run"),
])  # fmt: skip
def test_it_says_how_it_ended(programs: Path, words: tuple[str, ...], status: int, said: str) -> None:
    at = words.index("--") if "--" in words else 0
    command = words[at + 1 :] if at else words
    run = recorded(programs, *command, options=words[:at])
    assert (run.status, said in run.err) == (status, True), run.err
    assert run.status == 1 or "descriptors sent 0, received 0, proved 0" in run.err


@contextlib.contextmanager
def recording(programs: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A recorder at work, and what it traces."""
    words = ["-o", str(programs / "of.rec"), "--", "sh", "-c", "sleep 1000 & sleep 1000 & setsid sleep 1000 & wait"]
    with subprocess.Popen(
        [sys.executable, "-m", "pairscope", "record", *words],
        env={**os.environ, "PYTHONPATH": str(APP)}, stderr=subprocess.PIPE,
    ) as recorder:  # fmt: skip
        try:
            yield recorder, eventually(lambda: len(found := tracees(recorder.pid)) == 4 and found, "four are traced")
        finally:
            recorder.kill()


@process
def test_nobody_survives_a_recorder_that_is_killed(programs: Path) -> None:
    with recording(programs) as (recorder, traced):
        recorder.kill()
        eventually(lambda: not living(traced), "nobody is alive", timeout=1)
        recorder.wait()
    shown = pairscope("--passages", str(programs / "of.rec"))
    assert shown.returncode == 2 and "it has no end" in shown.stderr


@process
def test_ctrl_c_ends_it_with_a_whole_recording(programs: Path) -> None:
    with recording(programs) as (recorder, traced):
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(20) == 130 and recorder.stderr and b"it was asked to end" in recorder.stderr.read()
        assert not living(traced)
    with Recording(str(programs / "of.rec")) as found:
        assert len(found.index.processes) == 4


@process
@compiled
def test_where_the_kernel_lets_nobody_trace_it_says_so(programs: Path) -> None:
    run = confined(programs, "ptrace", str(programs / "passing"))
    assert run.status == 1 and "the kernel does not let this process trace another (Operation not permitted)" in run.err
    assert not run.out


@process
@compiled
def test_without_kcmp_passages_are_told_and_their_proof_is_not(programs: Path) -> None:
    run = confined(programs, "kcmp", str(programs / "passing"))
    assert run.out == bare(str(programs / "passing"))[0]
    assert "no passage can be proved by kcmp here" in run.err
    counts = run.index.counts
    assert (counts.sent, counts.received, counts.proved) == (7, 7, 0)
    assert "not every passage could be proved" in run.err


@process
@compiled
def test_without_duplicates_what_the_sender_still_holds_is_proved(programs: Path) -> None:
    run = confined(programs, "pidfd_getfd", str(programs / "passing"))
    assert run.out == bare(str(programs / "passing"))[0]
    assert "no duplicate can be taken of what is in flight" in run.err
    proofs = {one["object"]: one["proof"] for one in run.passages() if "kept" in one["object"]}
    assert proofs == {"/memfd:kept (deleted)": "both"}


# ---- what it keeps


def unpacked(path: Path) -> bytes:
    """Every byte that a recording holds."""
    with Recording(str(path)) as found:
        data = path.read_bytes()
        blocks = found.index.blocks
        at, size, _, _ = struct.unpack("<QQI8s", data[-28:])
        places = [(block.position, block.size) for block in blocks] + [(at, size)]
        return b"".join(zlib.decompress(data[start : start + length]) for start, length in places)


@process
def test_no_byte_of_payload_is_kept_unless_one_asks_for_it(programs: Path) -> None:
    program = "import os, socket\na, b = socket.socketpair()\na.send(bytes([81]) * 7)\nos.write(1, b.recv(99))"
    command = (sys.executable, "-c", program)
    for asked, kept in (0, b""), (3, b"QQQ"):
        run = recorded(programs, *command, options=("--bytes", str(asked), "--no-arguments"))
        held = unpacked(run.path)
        assert run.out == "Q" * 7 and re.findall(b"Q+", held).count(kept) == (3 if kept else 0), asked
        assert b"socketpair()" not in held and b"PATH=" not in held
        assert os.stat(run.path).st_mode & 0o777 == 0o600


@process
@compiled
def test_a_step_is_found_without_those_before_it_and_the_state_is_that_of_the_program(programs: Path) -> None:
    run = recorded(programs, str(programs / "turning"))
    with Recording(str(run.path)) as found:
        assert found.steps > 64
        steps = list(found.all())
        assert [found.step(number) for number in (1, 64, 65, found.steps)] == [
            steps[number - 1] for number in (1, 64, 65, found.steps)
        ]
        assert not found.state(found.steps).tables, "at the end nobody holds anything"
        held = found.state(2)
        assert {link.split(":")[0] for link in held.tables[1].values()} >= {"socket"}


@process
@compiled
def test_a_damaged_recording_is_told_in_a_sentence(programs: Path) -> None:
    run = recorded(programs, str(programs / "passing"))
    whole = run.path.read_bytes()
    chance = random.Random(17)
    path = programs / "damaged.rec"
    refused = 0
    for place in range(200):
        data = bytearray(whole)
        if place % 2:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(1 + place % 5):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            with Recording(str(path)) as found:
                list(found.all())
                found.state(found.steps)
        except NoRecording as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 400
    assert refused > 150


def sealed(index: bytes, checksum: int | None = None) -> bytes:
    """A recording with this index."""
    packed = zlib.compress(index)
    checksum = zlib.crc32(packed) if checksum is None else checksum
    return MAGIC + packed + struct.pack("<QQI8s", len(MAGIC), len(packed), checksum, MAGIC)


@pytest.mark.parametrize(("index", "said"), [
    (bytes(64 << 20), "would unpack to more than"),
    (b"\xdd\xff\xff\xff\xff", "not as the format has it"),
    (b"\x91" * 100_000, "not as the format has it"),
    (b"\x80", "not as the format has it"),
])  # fmt: skip
def test_a_hostile_index_is_told_in_a_sentence(tmp_path: Path, index: bytes, said: str) -> None:
    """Packed well; as it would be with another checksum too."""
    path = tmp_path / "hostile.rec"
    path.write_bytes(sealed(index))
    with pytest.raises(NoRecording, match=said):
        Recording(str(path))
    path.write_bytes(sealed(index, 1))
    with pytest.raises(NoRecording, match="the checksum is another one"):
        Recording(str(path))
