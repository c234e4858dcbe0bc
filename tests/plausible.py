"""A plausible history and snapshot, written through the store's own tables: what pages are looked at with, and tested
on.

The real pool writes the same rows; here they can be nasty on purpose, and they are there at once.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from pairscope.config import Settings
from pairscope.ipc import payloads
from pairscope.ipc.identity import Issuer
from pairscope.ipc.payloads import JobSpec
from pairscope.pool import snapshot as snapshots
from pairscope.store import histogram, migrate
from pairscope.store.engine import engine
from pairscope.store.models import PACE_SECONDS, PREVIEW, Job, Message, Position, Process, Rate, Transfer

US, MS, S = 1_000, 1_000_000, 1_000_000_000

CATALOGUE = [
    JobSpec(
        "compress",
        "Packs the input with gzip, to be downloaded.",
        120.0,
        True,
        parameters={"level": "From 1 (fast) to 9 (small); 6 if it is not given."},
        media="application/gzip",
        suffix=".gz",
    ),
    JobSpec("digest", "SHA-256 and size of the input.", 60.0, False),
    JobSpec(
        "echo",
        "Answers with the bytes that it was sent, or with the first ones behind a descriptor.",
        10.0,
        False,
        quick=True,
        needs_input=False,
    ),
    JobSpec(
        "inspect", "Media type, text encoding, and line, word and byte counts, all from the content.", 120.0, False
    ),
    JobSpec(
        "thumbnail",
        "A small picture of an image, as PNG, upright.",
        60.0,
        True,
        parameters={"size": "The longer edge in pixels, from 16 to 1024; 320 if it is not given."},
        media="image/png",
        suffix=".thumbnail.png",
    ),
]

DETAIL = {
    "landlock": {"abi": 7, "files": True, "network": True, "scopes": ["abstract sockets", "signals"]},
    "seccomp": {
        "otherwise": "EPERM",
        "calls": [
            "brk",
            "close",
            "epoll_wait",
            "fstat",
            "lseek",
            "mmap",
            "munmap",
            "pread64",
            "pwrite64",
            "read",
            "recvmsg",
            "sendmsg",
            "write",
        ],
    },
    "no_new_privs": True,
    "uid": 65534,
    "limits": {"NOFILE": 64, "AS": 4294967296, "CORE": 0, "MSGQUEUE": 0},
    "missing": [],
    "microseconds": 1420,
}

NASTY_NAMES = (
    "a" * 250 + ".txt",
    "\u0635\u0648\u0631\u0629 \u0645\u0646 \u0627\u0644\u0628\u062d\u0631.jpg",
    "\u202egnp.exe",
    "\U0001f469\u200d\U0001f680 launch \U0001f680.png",
    "<script>alert(1)</script>.html",
    '=HYPERLINK("http://example.org").csv',
    "two\tparts and  spaces.txt",
    "",
)


class History:
    """Writes rows as a recorder would, change by change; goes on from those that are there. Closes its engine with
    :meth:`close`."""

    def __init__(self, settings: Settings, seed: int = 7) -> None:
        if not (settings.state / "history.sqlite").exists():
            migrate.upgrade(settings)
        self.settings = settings
        self.chance = random.Random(seed)
        self._engine = engine(settings.recorder_url)
        self.session = Session(self._engine, expire_on_commit=False)
        self.change = 0
        self.now = time.time_ns()
        self._issuer = Issuer(settings.node, clock=lambda: self.now)
        self.supervisor = ("supervisor", 3, os.getpid())
        """This process: a snapshot counts only as long as its supervisor lives."""
        self.web = ("web", 1, 41870)
        self.workers = {1: ("worker", 1, 41874), 2: ("worker", 2, 41875)}
        self.inode = 1042
        self.done = {1: 0, 2: 0}
        self.failed = {1: 0, 2: 0}
        self.messages = 0
        if standing := self.session.get(Position, settings.node):
            self.change, self.messages, self.inode = standing.position, standing.rows, self.inode + standing.position
            return
        self._process("supervisor", 3, os.getpid(), "")
        self._process("recorder", 3, 41876, "")
        self._process("web", 1, 41870, "")
        for serial in self.workers:
            self._process("worker", serial, self.workers[serial][2], "landlock+seccomp")

    def close(self) -> None:
        self.session.close()
        self._engine.dispose()

    def touch(self) -> int:
        self.change += 1
        return self.change

    def commit(self) -> None:
        """Commits the rows with the position, as the recorder does."""
        position = self.session.get(Position, self.settings.node)
        if position is None:
            position = Position(
                node=self.settings.node,
                node_name="hostname",
                epoch=3,
                supervisor=3,
                supervisor_pid=os.getpid(),
                journal_epoch=3,
            )
            self.session.add(position)
        position.position, position.at, position.rows = self.change, self.now, self.messages
        self.session.commit()

    def _process(self, role: str, serial: int, pid: int, sandbox: str, **more: Any) -> Process:
        values: dict[str, Any] = {
            "born": self.now - 3600 * S,
            "ready": self.now - 3600 * S + 84 * MS,
            "ended": None,
            "exit": "",
            "asked": False,
        } | more
        row = Process(
            node=self.settings.node,
            role=role,
            serial=serial,
            epoch=3,
            change=self.touch(),
            pid=pid,
            uid=65534,
            sandbox=sandbox,
            detail=json.dumps(DETAIL) if role == "worker" else "",
            **values,
        )
        self.session.add(row)
        return row

    def message(
        self,
        kind: str,
        sender: tuple[str, int, int],
        receiver: tuple[str, int, int],
        payload: Any,
        *,
        job: int | None,
        at: int,
        latency: int | None,
        size: int = 0,
        fds: int = 0,
        state: str = "received",
        reason: str = "",
        id: int = 0,
    ) -> Message:
        """One message; `latency` None: not received."""
        raw = msgspec.msgpack.encode(payload)
        worker = next((party[1] for party in (sender, receiver) if party[0] == "worker"), None)
        self.now = max(self.now, at)
        identity = id or self._issuer.issue()
        row = Message(
            id=identity, node=self.settings.node, epoch=3, change=self.touch(),
            job=job or (identity if kind == "submit" else None), kind=kind,
            sender_role=sender[0], sender_serial=sender[1], sender_pid=sender[2], receiver_role=receiver[0],
            receiver_serial=receiver[1], receiver_pid=receiver[2],
            worker=worker, size=size or len(raw) + 48, fds=fds, flags=0x40000000 if fds else 0, sent=at,
            received=None if latency is None else at + latency, latency=latency,
            state=state, reason=reason, preview=raw[:PREVIEW],
        )  # fmt: skip
        self.messages += 1
        self.session.add(row)
        return row

    def transfer(
        self,
        message: Message,
        position: int,
        sender_fd: int,
        receiver_fd: int | None,
        *,
        object: str = "memfd",
        inode: int = 0,
        size: int = 0,
        access: str = "read-write",
        link: str = "/memfd:upload (deleted)",
        proof: str = "same",
        reason: str = "",
    ) -> Transfer:
        """One descriptor of a message."""
        names = (
            "node",
            "epoch",
            "job",
            "kind",
            "worker",
            "sent",
            "received",
            "state",
            *(f"{side}_{what}" for side in ("sender", "receiver") for what in ("role", "serial", "pid")),
        )
        row = Transfer(
            message=message.id, position=position, change=self.touch(), sender_fd=sender_fd, receiver_fd=receiver_fd,
            object=object, device=1 if object == "memfd" else 65025, inode=inode, access=access,
            flags=0o100000 | {"read": 0, "write": 1, "read-write": 2}[access], offset=0 if object in ("memfd",
            "regular file") else None, size=size, link=link, proof=proof, proof_reason=reason,
            **{name: getattr(message, name) for name in names},
        )  # fmt: skip
        self.session.add(row)
        return row

    def job(
        self,
        kind: str,
        name: str,
        size: int,
        *,
        at: int,
        state: str = "done",
        worker: int = 1,
        reason: str = "",
        result: Any = None,
        output: int = 0,
        until: str = "answer",
        gone: str = "",
    ) -> Job:
        """One job with its messages and transfers, `until` the kind of message that has been sent last."""
        chance = self.chance
        self.now = at
        self.inode += chance.randrange(1, 9)
        big = size > self.settings.memfd_max
        at_work = chance.randrange(300 * US, 900 * US) + size * 2
        file: dict[str, Any] = (
            {"object": "regular file", "access": "read", "link": f"{self.settings.spool}/#{self.inode} (deleted)"}
            if big
            else {}
        )
        file |= {"inode": self.inode, "size": size}
        party = self.workers[worker]

        def soon() -> int:
            return chance.randrange(28 * US, 160 * US)

        sent = at
        latency = soon()
        submit = self.message(
            "submit",
            self.web,
            self.supervisor,
            payloads.Submit(kind, name, size, {}, b"", 3),
            job=None,
            at=sent,
            latency=latency,
            fds=1 if size else 0,
        )
        web_fd, own_fd, worker_fd = chance.randrange(11, 18), chance.randrange(20, 40), chance.randrange(4, 9)
        if size:
            self.transfer(submit, 0, web_fd, own_fd, **file)
        job = submit.id
        here = sent + latency + soon()
        self.message("accepted", self.supervisor, self.web, payloads.Accepted(job, 0), job=job, at=here, latency=soon())
        row = Job(
            id=job, node=self.settings.node, epoch=3, change=self.touch(), kind=kind, name=name, size=size,
            client_role="web", client_serial=1, client_pid=41870,
            state="queued", worker=None, submitted=sent + latency, started=None, ended=None, reason="", result="",
            output=0, output_media="", output_name="", expires=None, output_gone=None, gone_reason="",
        )  # fmt: skip
        self.session.add(row)
        if until == "accepted":
            return row
        spec = next((spec for spec in CATALOGUE if spec.name == kind), None)
        here += soon()
        makes = bool(spec and spec.output)
        lost = until == "task"
        task = self.message(
            "task", self.supervisor, party, payloads.Task(kind, name, {}, b"", bool(size), makes, True), job=job,
            at=here, latency=None if lost else soon(), fds=bool(size) + makes + 1,
            state=("unknown" if state != "done" else "sent") if lost else "received",
            reason=reason if lost and state != "done" else "",
        )  # fmt: skip
        proof: dict[str, Any] = (
            {"proof": "unproved" if state != "done" else "", "reason": reason[:200] if state != "done" else ""}
            if lost
            else {}
        )
        position = 0
        if size:
            self.transfer(task, position, own_fd, None if lost else worker_fd, **file, **proof)
            position += 1
        if makes:
            self.transfer(
                task,
                position,
                own_fd + 1,
                None if lost else worker_fd + 1,
                inode=self.inode + 1,
                size=0,
                link="/memfd:output (deleted)",
                **proof,
            )
            position += 1
        self.transfer(
            task,
            position,
            own_fd + 2,
            None if lost else worker_fd + 2,
            inode=self.inode + 2,
            size=0,
            link="/memfd:spare (deleted)",
            **proof,
        )
        row.state, row.worker, row.started, row.change = "running", worker, here, self.touch()
        if until == "task" and state == "done":
            return row
        here += at_work
        ok = state == "done"
        if until != "task":
            self.message(
                "result",
                party,
                self.supervisor,
                payloads.Result(ok, result or {}, "" if ok else reason),
                job=job,
                at=here,
                latency=soon(),
            )
        here += 160 * US + soon()
        answer = self.message(
            "answer",
            self.supervisor,
            self.web,
            payloads.Answer(job, state, result or {}, reason, worker, output),
            job=job,
            at=here,
            latency=soon(),
        )
        row.state, row.ended, row.reason, row.change = state, here, reason, self.touch()
        row.result = json.dumps(result or {})
        if output:
            row.output, row.output_media, row.output_name = (
                output,
                spec.media if spec else "",
                name[:200] + (spec.suffix if spec else ""),
            )
            row.expires = here + 3600 * S
            if gone:
                row.output_gone, row.gone_reason = here + 600 * S, gone
        (self.done if ok else self.failed)[worker] += 1
        self.now = answer.sent
        return row

    def rates(self, end: int, minutes: int = 10) -> None:
        """Counts for the charts: quiet, a burst, quiet again, with a gap."""
        step = PACE_SECONDS * S
        for index in range(minutes * 60 // PACE_SECONDS):
            at = (end // step - index) * step
            if 22 <= index <= 26:
                continue
            messages = int(8 + 6 * self.chance.random() + (320 * self.chance.random() if 8 <= index <= 17 else 0))
            latencies: dict[int, int] = {}
            for _ in range(messages):
                number = histogram.step(int(self.chance.lognormvariate(11.2, 0.5 if index > 17 or index < 8 else 0.9)))
                latencies[number] = latencies.get(number, 0) + 1
            self.session.merge(
                Rate(node=self.settings.node, at=at, messages=messages, latencies=histogram.encode(latencies))
            )

    def snapshot(self, **more: Any) -> snapshots.Snapshot:
        """The snapshot that fits the rows; written into the run directory."""
        now = time.time_ns()
        workers = [
            snapshots.WorkerView(
                serial,
                party[2],
                "idle",
                now - 3600 * S,
                now - 3599 * S,
                sandbox="landlock+seccomp",
                detail=DETAIL,
                done=self.done.get(serial, 0),
                failed=self.failed.get(serial, 0),
            )
            for serial, party in self.workers.items()
        ]
        values: dict[str, Any] = {
            "at": now, "node": self.settings.node, "node_name": "hostname", "epoch": 3, "version": "0.1.0",
            "state": "running",
            "supervisor": snapshots.SupervisorView(3, os.getpid(), now - 3600 * S, 23), "workers": workers,
            "wanted": len(workers), "workers_max": 32,
            "recorder": snapshots.RecorderView(3, 41876, "ok", "ok", self.change, self.messages, 0, 0, now, 0,
            self.messages, 1_000_000),
            "journal": snapshots.JournalView(self.change, 1, 12 * 1024, 256 << 20, 1, 0, "none", self.change),
            "clients": [snapshots.ClientView(1, "web", self.web[2], 0, self.messages // 2), snapshots.ClientView(2,
            "web", self.web[2], 0, 14), snapshots.ClientView(3, "tool", 42011, 0, 6)],
            "jobs": snapshots.JobsView(0, 0, sum(self.done.values()), sum(self.failed.values()), 1),
            "results": snapshots.ResultsView(2, 80_000, 512 << 20, 3600, 512),
            "messages": snapshots.MessagesView(self.messages, {"progress": 40}), "transfers": 60,
            "catalogue": CATALOGUE,
        }  # fmt: skip
        made = snapshots.Snapshot(**(values | more))
        self.settings.run.mkdir(parents=True, exist_ok=True)
        snapshots.write(self.settings, made)
        return made


def settings_in(directory: Path, **more: Any) -> Settings:
    """Settings of an installation in an empty directory, on SQLite."""
    usual: dict[str, Any] = {
        "state": directory,
        "run": directory / "run",
        "operator_token": "operator-token",
        "source": "test",
        "public_outputs": True,
    }
    return Settings(**usual | more)


def fill(history: History, *, nasty: bool = True) -> None:
    """An hour with jobs of every kind and end."""
    now = time.time_ns()
    chance = history.chance
    digest = {"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "bytes": 18_403}
    inspect = {
        "bytes": 18_403,
        "media_type": "text/plain",
        "text": True,
        "encoding": "utf-8",
        "lines": 412,
        "words": 2_871,
    }
    thumbnail = {
        "width": 320,
        "height": 213,
        "original": {"width": 6000, "height": 4000, "format": "JPEG"},
        "stored": 84_112,
    }
    compress = {"bytes": 104_857_600, "stored": 31_402_118, "ratio": 0.299}
    files = [
        ("digest", "setup-2.1.tar.zst", digest),
        ("inspect", "notes.md", inspect),
        ("digest", "photo-0412.jpg", digest),
        ("echo", "", {"data": "hello"}),
        ("inspect", "access.log", inspect),
    ]
    old = history._process(
        "worker",
        0,
        41702,
        "seccomp",
        born=now - 7200 * S,
        ended=now - 3600 * S,
        exit="killed by SIGKILL, for job 300647710720: it exceeded its deadline of 120 s",
        asked=False,
    )
    old.ready = old.born + 91 * MS
    at = now - 3000 * S
    for index in range(26):
        kind, name, result = files[index % len(files)]
        history.job(
            kind,
            name,
            0 if kind == "echo" else chance.randrange(400, 900_000),
            at=at,
            worker=1 + index % 2,
            result=result,
        )
        at += chance.randrange(20 * S, 110 * S)
    history.job("compress", "backup.tar", 104_857_600, at=now - 240 * S, worker=2, result=compress, output=31_402_118)
    history.job(
        "thumbnail", "IMG_20260412_181422.jpg", 6_812_443, at=now - 170 * S, worker=1, result=thumbnail, output=84_112
    )
    history.job(
        "thumbnail",
        "not-an-image.jpg",
        2_048,
        at=now - 120 * S,
        state="failed",
        reason="the input is not an image of a kind that is read here; expected an image: PNG, JPEG, GIF, WebP or BMP",
    )
    history.job(
        "inspect",
        "endless.bin",
        1_000_000,
        at=now - 100 * S,
        state="failed",
        worker=2,
        until="task",
        reason="worker 2 died with the job in hand: killed by SIGKILL",
    )
    if nasty:
        for index, name in enumerate(NASTY_NAMES):
            history.job("digest", name, 1 + index, at=now - (90 - 5 * index) * S, result=digest, worker=1 + index % 2)
        job = history.job(
            "digest",
            "cancelled by its operator.iso",
            200_000_000,
            at=now - 42 * S,
            state="cancelled",
            reason="through web 1; worker 1 was killed for it",
            until="task",
        )
        job.worker = 1
    history.job("digest", "photo-0413.jpg", 3_402_118, at=now - 31 * S, result=digest, worker=2)
    history.job("inspect", "README.md", 4_211, at=now - 12 * S, result=inspect, worker=1)
    history.job("compress", "video.mp4", 180_000_000, at=now - 4 * S, worker=2, until="task")
    history.job("digest", "waiting.bin", 8_812, at=now - 1 * S, until="accepted")
    history.rates(now)
    history.now = now
    history.commit()
    history.snapshot()
