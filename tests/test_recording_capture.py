"""The messages of a recording in Wireshark: docs/recorder.md, "The capture"."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pairscope.trace import capture
from pairscope.trace.file import Recording
from pairscope.trace.recording import Delta, Passage, Queue
from tests.test_recording_pages import APP, STRANGE, step, written

pytestmark = [pytest.mark.process, pytest.mark.needs("tshark")]
LUA = Path(capture.__file__).with_suffix(".lua")
PROGRAM = """
import array, os, socket, struct
mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
if not os.fork():
    data, control, _, _ = other.recvmsg(100, 500)
    (fds,) = (data for _, kind, data in control if kind == socket.SCM_RIGHTS)
    os.write(struct.unpack("ii", fds)[0], b"from the child")
    os._exit(0)
r, w = os.pipe()
fds = array.array("i", [w, r])
ids = struct.pack("=iII", os.getpid(), os.getuid(), os.getgid())
rights, credentials = (socket.SOL_SOCKET, socket.SCM_RIGHTS, fds), (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, ids)
mine.sendmsg([b"two ", b"parts"], [rights, credentials])
os.wait()
"""


def captured(path: Path, directory: Path) -> Path:
    made = directory / "made.pcapng"
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "record", "--capture", str(path), "-o", str(made)],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and str(LUA) in done.stderr, done.stderr
    return made


def told(file: Path, *fields: str, only: str = "pairscope") -> list[list[str]]:
    """What tshark tells of each packet: the values of these fields, several of one with a comma."""
    asked = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-X", f"lua_script:{LUA}", "-r", str(file), "-Y", only, "-T", "fields", *asked],
        capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(file.parent), "XDG_CONFIG_HOME": str(file.parent)},
    )  # fmt: skip
    assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_tshark_tells_each_message_with_its_processes_descriptors_credentials_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "program.rec"
    command = [sys.executable, "-m", "pairscope", "record", "-o", str(path), "--bytes", "64", "--"]
    done = subprocess.run(
        [*command, os.path.realpath(sys.executable), "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Recording(str(path)) as recording:
        index, steps = recording.index, list(recording.all())
    file = captured(path, tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (sent,) = told(
        file, "pairscope.step", "pairscope.sender.pid", "pairscope.receiver.pid", "pairscope.fd.sent_as",
        "pairscope.fd.received_as", "pairscope.fd.proof", "pairscope.fd.object", "pairscope.creds.pid",
        "pairscope.creds.uid", "pairscope.bytes", "pairscope.data", only="pairscope.fds > 0",
    )  # fmt: skip
    parent, child = index.processes[0].pid, index.processes[1].pid
    passages = index.passages
    assert sent == [
        str(passages[0].sent_at), str(parent), str(child), ",".join(str(one.sent_as) for one in passages),
        ",".join(str(one.received_as) for one in passages),
        ",".join(str(capture.PROOFS[one.proof]) for one in passages),
        ",".join(one.object for one in passages), str(parent), str(os.getuid()), "9", b"two parts".hex(),
    ]  # fmt: skip
    assert steps[int(sent[0]) - 1].call == "sendmsg"
    every = told(file, "pairscope.kind", "pairscope.sender.name", "pairscope.data")
    assert ["2", index.processes[1].name, b"from the child".hex()] in every, "what goes through a pipe, too"
    assert len(every) == sum(
        one.call in capture.SENDS and "value" in one.gave and str(one.given.get("on")).startswith(("socket:", "pipe:"))
        for one in steps
    )


def test_a_message_that_waited_and_one_to_an_end_that_is_known_have_their_place(tmp_path: Path) -> None:
    known = Delta({}, {44: Queue(45, 0, 0)})
    steps = [
        step("write", given={"fd": 3, "on": "socket:[44]", "data": {"bytes": 5}}, gave={}, blocked=True, changed=known),
        step("read", 2),
        step("write", of=1, gave={"value": 5}),
        step("write", given={"fd": 3, "on": "socket:[44]"}, gave={"errno": "EPIPE"}),
        step("write", given={"fd": 3, "on": "/a/file"}, gave={"value": 5}),
    ]
    file = captured(written(tmp_path / "r", steps), tmp_path)
    fields = ("pairscope.step", "pairscope.inode", "pairscope.peer", "pairscope.bytes", "pairscope.data", "frame.len")
    (only,) = told(file, *fields)
    assert only[:5] == ["1", "44", "45", "5", ""]
    assert told(file, "frame.cap_len")[0][0] == str(int(only[5]) - 5), "bytes that were not kept are counted"


@pytest.mark.parametrize("value", STRANGE[:6], ids=lambda one: type(one).__name__)
def test_of_a_strange_recording_a_capture_is_made_that_tshark_reads(tmp_path: Path, value: object) -> None:
    keys = ("data", "iov", "messages", "control", "on", "fd")
    steps = [
        step(call, given={"on": "socket:[4]", **dict.fromkeys(keys[:at], value)}, gave={"value": 3})
        for call in ("sendmsg", "write", "sendmmsg")
        for at in range(len(keys))
    ]
    steps += [
        step("write", given={"on": f"pipe:[{'9' * 400}]"}),
        step("write", given={"on": "pipe:[7]"}, gave={"value": value}),
    ]
    names = ("\x1b[2J\u202e" * 8, "b")
    passages = [
        Passage(1, -5, 1, "x" * 4096, "outside"),
        Passage(2, 1 << 40, 1, "pipe:[7]", "received", 1, -9, 2, "both"),
    ]
    file = captured(written(tmp_path / "r", steps, passages, names), tmp_path)
    assert len(told(file, "pairscope.step")) >= 12
    assert json.dumps(told(file, "pairscope.fd.received_as", only="pairscope.fds == 2"))
