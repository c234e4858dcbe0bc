"""Stories for the journal: what a supervisor would write while jobs run, with ids and times of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pairscope.ipc.identity import Issuer
from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import Born, JobEnded, JobSubmitted, Message, Outcome, Proof, Ready, Record, Transfer

BEGIN = 1_790_000_000_000_000_000
"""2026-09-21, in ns."""


class Story:
    """Tells records in the order in which they happen. Every step takes 50 us."""

    def __init__(self, node: int = 1, begin: int = BEGIN) -> None:
        self.now = begin
        self._issuer = Issuer(node, clock=lambda: self.now)

    def step(self) -> int:
        self.now += 50_000
        return self.now

    def id(self) -> int:
        return self._issuer.issue()

    def message(
        self,
        kind: str,
        role: str = "worker",
        *,
        job: int = 0,
        inbound: bool = False,
        fds: int = 0,
        serial: int = 1,
        text: str = "",
    ) -> Message:
        """A message; one from the peer is complete, one to it is sent."""
        sent = self.step()
        preview = text.encode() or f"\x81{kind} {sent}".encode()
        transfers = [self.transfer(position) for position in range(fds)]
        received = sent + 40_000 if inbound else 0
        return Message(
            self.id(), job, BY_NAME[kind].code, inbound, role, serial, 4000 + serial, 90 + len(preview), fds,
            0x40000000, sent, received, preview, transfers
        )  # fmt: skip

    def transfer(self, position: int, link: str = "/tmp/upload (deleted)") -> Transfer:
        return Transfer(position, 7 + position, -1, "memfd", 1, 1000 + position, "read", 0o100000, 0, 4096, link)

    def outcome(self, message: Message, state: str = "received", reason: str = "") -> Outcome:
        received = message.sent + 60_000 if state == "received" else 0
        fds = [20 + number for number in range(message.fds)] if received else []
        return Outcome(message.id, state, received, 0x40000000, fds, reason)

    def workers(self, number: int = 2) -> list[Record]:
        """Workers are born and ready."""
        told: list[Record] = []
        for serial in range(1, number + 1):
            told.append(Born("worker", serial, 4000 + serial, 65534, self.step()))
            told.append(Ready("worker", serial, self.step(), "landlock+seccomp", {"abi": 7}))
        return told

    def job(self, number: int = 0, kind: str = "digest") -> list[Record]:
        """The whole life of one job: five messages, three transfers."""
        worker = 1 + number % 2
        submit = self.message("submit", "web", inbound=True, fds=1)
        job = self.id()
        submit.job = job
        accepted = self.message("accepted", "web", job=job)
        task = self.message("task", job=job, fds=2, serial=worker)
        result = self.message("result", job=job, inbound=True, serial=worker)
        answer = self.message("answer", "web", job=job)
        name = f"photograph {number}.jpg"
        return [
            submit,
            JobSubmitted(job, kind, name, 4096, submit.received, "web", 1, 4001),
            accepted,
            task,
            self.outcome(accepted),
            self.outcome(task),
            Proof(task.id, 0, "same", ""),
            Proof(task.id, 1, "same", ""),
            Proof(submit.id, 0, "same", ""),
            result,
            JobEnded(job, "done", self.step(), "", json.dumps({"size": 4096, "number": number}).encode(), 100,
            "image/png", name + ".png", self.now + 10**12),
            answer,
            self.outcome(answer),
        ]  # fmt: skip

    def jobs(self, number: int) -> Iterator[list[Record]]:
        for which in range(number):
            yield self.job(which)


MESSAGES_OF_A_JOB = 5
TRANSFERS_OF_A_JOB = 3
RECORDS_OF_A_JOB = 13
