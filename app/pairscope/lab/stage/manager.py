"""The stage manager: orders the steps of a scenario one by one, sees who is blocked and who is released, looks, and
judges.

It guesses nothing from time: a call is answered, its process has ended, or the kernel says that the task sleeps in that
very call.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import pwd
import resource
import select
import shutil
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairscope.ipc import passing
from pairscope.lab.calls import CALLS
from pairscope.lab.calls.options import SETTABLE
from pairscope.lab.calls.sendmsg import control_data
from pairscope.lab.constants import NUMBERS, errno_name, number
from pairscope.lab.language import format as canonical
from pairscope.lab.language import quoted
from pairscope.lab.model import Constants, Items, Name, Number, Scenario, Step, Text, Value
from pairscope.lab.probes import peek, tables, tasks
from pairscope.lab.reasons import Reason
from pairscope.lab.run import (
    FORMAT,
    NOTHING,
    UNSET,
    Completed,
    Descriptor,
    Message,
    Object,
    Part,
    Result,
    Run,
    State,
    Verdict,
)
from pairscope.lab.run import Carried as Flying
from pairscope.lab.run import Step as Taken
from pairscope.lab.stage import actor as acting
from pairscope.lab.stage import bounds, confine, contents, expect, message, races, reach, standing
from pairscope.lab.stage.allowance import Allowance
from pairscope.lab.stage.apart import apart
from pairscope.lab.stage.cast import Actor, Outcome, Pending, Process, ending
from pairscope.lab.stage.memory import Memory
from pairscope.lab.stage.observation import observe
from pairscope.lab.stage.queues import Carried

SECONDS = 5.0
"""Of processor time and of idle time: a run takes no more."""
WALL = 120.0
"""Seconds after which a run ends in any case: the machine gives it not even a twentieth of what it needs."""
USER = "nobody"
"""Whom the actors become where the manager is root."""
PROCESSES_MAX, STEPS_MAX, DESCRIPTORS_MAX = 8, 100, 64
DATA_SHOWN = 64 * 1024
"""Bytes of one call's data that a run holds; the whole is judged."""
PATIENCE = 0.25
"""Seconds of idle time that an expected return may take that no step made: a TCP segment or a descriptor's burial is
the kernel's own work, done when it likes."""
_PIECE = 0.01
"""Seconds of one wait, of which there may be many."""
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_SENDING, _RECEIVING = ("write", "send", "sendmsg"), ("read", "recv", "recvmsg")
_WAITING = ("wait", "waitpid")
_DUPLICATING = ("F_DUPFD", "F_DUPFD_CLOEXEC")
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The run asks for more than the stage gives. str() is a sentence."""


class Unmade(Exception):
    """A name stands for nothing, because the call that should have bound it gave nothing. str() is a sentence."""


class TimedOut(Exception):
    """The run took too long. str() is a sentence."""


def run(
    scenario: Scenario,
    directory: Path | None = None,
    *,
    user: str = USER,
    sandbox: confine.Sandbox | None = None,
    after_step: Callable[[Taken], None] | None = None,
) -> Run:
    """Runs the scenario and gives the run. Leaves no process, descriptor or
    file.

    `directory`: the scratch directory, which the caller made and removes; None: one of this function's own, if the
    scenario needs one. `user`: whom the actors become where this process is root, so that what is shown is what happens
    to everybody else. `sandbox`: that this process has entered, and its actors will enter further; None: there is none.
    `after_step` is called with each step, its facts included, while everybody stands still. Raises KeyError if there is
    no such user.
    """
    account = None
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        account = entry.pw_uid, entry.pw_gid
    made = directory is None and uses_files(scenario)
    scratch = Path(tempfile.mkdtemp(prefix="lab")) if made else directory or Path("/")
    if account and made:
        os.chown(scratch, *account)
    subreaper = ctypes.c_int(0)
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(subreaper), 0, 0, 0)
    # whoever loses a parent becomes a child of this process, and is reaped
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stage = _Stage(scenario, scratch, account, sandbox)
    try:
        # a sandbox leaves no way to the lock: its runner holds it
        with contextlib.nullcontext() if sandbox else apart(scenario):
            return stage.run(after_step or (lambda step: None))
    finally:
        stage.clear()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, subreaper.value, 0, 0, 0)
        if made:
            shutil.rmtree(scratch, ignore_errors=True)


def unplayed(scenario: Scenario, reason: str) -> Run:
    """The run of a scenario that could not begin."""
    return _told_run(scenario, "refused", reason, confine.absent(), time.time(), 0, [])


def _told_run(
    scenario: Scenario,
    verdict: Verdict,
    reason: str,
    sandbox: dict[str, Any],
    started: float,
    took_ns: int,
    steps: list[Taken],
) -> Run:
    return Run(
        format=FORMAT,
        text=canonical(scenario),
        about=[list(pair) for pair in scenario.about],
        verdict=verdict,
        reason=reason,
        kernel=os.uname().release,
        machine=os.uname().machine,
        sandbox=sandbox,
        started=started,
        took_ns=took_ns,
        steps=steps,
    )


def uses_files(scenario: Scenario) -> bool:
    """Whether a call names a file of the scratch directory."""
    return any(
        argument.takes == "file"
        or (
            argument.takes == "address"
            and isinstance(value, Text)
            and not value.data.startswith(b"\0")
            and b":" not in value.data
        )
        for step in scenario.steps
        for argument, value in zip(CALLS[step.call].arguments, step.arguments)
    )


class _Stage:
    """One run."""

    def __init__(
        self, scenario: Scenario, scratch: Path, account: tuple[int, int] | None, sandbox: confine.Sandbox | None
    ) -> None:
        self._scenario = scenario
        self._scratch = scratch
        self._account = account
        self._sandbox = sandbox
        self._actors: dict[str, Actor] = {}
        self._processes: list[Process] = []
        self._memory = Memory()
        self._steps: list[Taken] = []
        self._ports = reach.Ports()
        self._received: list[tuple[str, Result, int]] = []
        """Who has received since the last look, with what result, and from which socket."""
        self._signals: set[int] = set()
        """Every signal that a step has sent."""
        self._timeout = 0.0
        """Seconds that a call may wait by an option of its socket."""
        self._allowance = Allowance(SECONDS, WALL)

    # The run

    def run(self, after_step: Callable[[Taken], None]) -> Run:
        """Carries everything out."""
        started, began = time.time(), time.monotonic_ns()
        self._allowance = Allowance(SECONDS, WALL)
        verdict: Verdict = "held"
        reason = ""
        try:
            self._check()
            for index, step in enumerate(self._scenario.steps):
                self._take(index, step)
                entry = self._steps[-1]
                after_step(entry)
                if entry.verdict == expect.FAILED and verdict == "held":
                    verdict, reason = "failed", Reason.LINE.say(line=entry.line, why=entry.reason)
                if entry.result is None:
                    break
        except Refused as refusal:
            verdict, reason = "refused", str(refusal)
        except TimedOut as late:
            verdict, reason = "timed out", str(late)
        except OSError as error:
            verdict, reason = (
                "refused",
                Reason.LINE.say(
                    line=self._steps[-1].line if self._steps else 1, why=Reason.NO_GOING_ON.say(fault=error)
                ),
            )
        if verdict in ("held", "failed") and (blocked := self._blocked()):
            deadlocked = self._deadlocked()
            held = Reason.NOBODY_MOVES.say(why=blocked) if deadlocked else blocked
            reason = "; ".join(filter(None, (reason, Reason.AT_THE_END.say(why=held))))
            if deadlocked and not self._foreseen():
                verdict = "failed"
        sandbox = self._sandbox.told if self._sandbox else confine.absent()
        took = time.monotonic_ns() - began
        return _told_run(self._scenario, verdict, reason, sandbox, started, took, self._steps)

    def _check(self) -> None:
        steps = self._scenario.steps
        if not steps:
            raise Refused(Reason.NO_STEP.say())
        if len(steps) > STEPS_MAX:
            raise Refused(Reason.STEPS.say(count=len(steps), most=STEPS_MAX))
        set_ = {
            number(value) if isinstance(value, Constants) else value.value
            for step in steps
            if step.call == "setsockopt" and isinstance(value := step.arguments[2], (Constants, Number))
        }
        self._memory.options = tuple(name for name in SETTABLE if NUMBERS[name] in set_)
        self._begin(steps[0].actor)

    def _blocked(self) -> str:
        """Who is in a call that does not return, in words."""
        words = [
            (Reason.BLOCKED_AND_STOPPED if self._stopped(actor) else Reason.BLOCKED).say(
                who=actor.name, call=actor.pending.step.call
            )
            for actor in self._actors.values()
            if actor.pending and not actor.ended
        ]
        return ", ".join(words)

    def _deadlocked(self) -> bool:
        """Whether nobody who lives can take a step: then nothing could release those who are blocked."""
        living = [actor for actor in self._actors.values() if not actor.ended]
        return any(actor.pending for actor in living) and all(actor.pending or self._stopped(actor) for actor in living)

    @staticmethod
    def _stopped(actor: Actor) -> bool:
        return standing.stopped(actor)

    def _foreseen(self) -> bool:
        """Whether the scenario expects each call that is blocked now to block."""
        expectations = [
            actor.pending.step.expectation for actor in self._actors.values() if actor.pending and not actor.ended
        ]
        return all(expectation is not None and expectation.first == "blocks" for expectation in expectations)

    def _take(self, index: int, step: Step) -> None:
        """One step: made, settled, judged and looked at."""
        entry = Taken(
            line=step.place.line,
            actor=step.actor,
            call=step.call,
            returned=step.returned,
            arguments=[],
            result=None,
            completed={},
            expected=expect.told(step.expectation) if step.expectation else None,
            verdict=expect.NONE,
            reason="",
            after=None,
        )
        self._steps.append(entry)
        who = self._actors.get(step.actor)
        try:
            outcome = self._return(who, step) if step.returned else self._order(who, index, step, entry)
        except Unmade as unmade:
            outcome = str(unmade)
        if isinstance(outcome, str):
            entry.verdict, entry.reason = expect.FAILED, outcome
        else:
            assert who is not None
            if limit := bounds.met(step.call, outcome.result):
                entry.reason = limit
                raise _refused(step, limit)
            entry.result = outcome.result
            try:
                names = {process.pid: process.name for process in self._processes}
                entry.verdict, entry.reason = expect.check(
                    step.expectation, entry, outcome.result, outcome.raw, lambda value: self._resolve(who, value), names
                )
            except Unmade as unmade:
                entry.verdict, entry.reason = expect.FAILED, str(unmade)
            if outcome.result.fault:
                entry.verdict, entry.reason = expect.FAILED, expect.observed(outcome.result, None)
        for dead in self._processes:
            if limit := bounds.killed(dead.status, self._signals):
                entry.result, entry.verdict, entry.reason = (
                    None,
                    expect.NONE,
                    Reason.LIMIT_KILLED.say(who=dead.name, why=limit),
                )
                raise _refused(step, entry.reason)
        brought = {
            inode: [contents.told_carried(one) for one in self._memory.queues.brought(inode)]
            for *_, inode in self._received
        }
        entry.after = observe(self._processes, self._memory)
        self._tell_lost(entry, entry.after, brought)
        if ways := races.found(self._steps):
            entry.open = ways
        for process in entry.after.processes:
            if len(process.descriptors) > DESCRIPTORS_MAX:
                raise _refused(
                    step,
                    Reason.DESCRIPTORS.say(who=process.name, count=len(process.descriptors), most=DESCRIPTORS_MAX),
                )

    def _return(self, who: Actor | None, step: Step) -> Outcome | str:
        """The result of a call that was blocked."""
        if who is None or who.made != step.call:
            return (Reason.NOT_LAST if who and who.made else Reason.NOT_MADE).say(
                who=step.actor, call=step.call, last=who and who.made
            )
        if who.pending:
            self._wait(who, self._patience(who.pending.step))
        if who.pending:
            stand = standing.where(who)
            return Reason.STILL.say(who=step.actor, call=who.pending.step.call, where=stand.wchan or Reason.THE_KERNEL)
        assert who.last is not None
        return who.last

    def _order(self, who: Actor | None, index: int, step: Step, entry: Taken) -> Outcome | str:
        """Has the actor make the call, and waits until everybody stands still."""
        if who is None:
            return Reason.NOBODY.say(who=step.actor)
        if who.ended:
            return Reason.HAS_ENDED.say(who=step.actor, how=ending(who.process.status))
        stopped = standing.stopped(who)
        if who.pending:
            return (Reason.STOPPED_IN if stopped else Reason.STANDS).say(who=step.actor, call=who.pending.step.call)
        if stopped:
            return Reason.STOPPED.say(who=step.actor)
        arguments = [self._resolve(who, value) for value in step.arguments]
        named = {key: self._resolve(who, value) for key, value in step.named}
        self._guard(who, step, arguments, named)
        entry.arguments = [_told(value) for value in arguments] + [{key: _told(value)} for key, value in named.items()]
        ours: list[socket.socket] = []
        theirs: list[socket.socket] = []
        if CALLS[step.call].binds == "process":
            if len(self._actors) >= PROCESSES_MAX:
                raise _refused(step, Reason.PROCESSES.say(most=PROCESSES_MAX))
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)] + (
                [socket.socketpair()] if step.call == "fork" else []
            )
            ours, theirs = (list(ends) for ends in zip(*pairs))
        first = arguments[0] if arguments and isinstance(arguments[0], int) and step.call != "poll" else None
        if step.call == "wait" and not arguments:
            first = -1
        who.pending, who.last, who.made = (
            self._foresee(who, Pending(index, step, first), arguments, named),
            None,
            step.call,
        )
        try:
            acting.send(who.control, [step.call, arguments, named], tuple(end.fileno() for end in theirs))
            _close(theirs)
            if ours:
                self._bring(who, step, ours)
            self._settle()
        finally:
            _close(ours + theirs)
        if who.pending and (patience := self._patience(step)):
            self._wait(who, patience)
        if who.pending:
            blocked = _nothing()
            blocked.blocked = True
            return Outcome(blocked, None)
        assert who.last is not None
        entry.completed.pop(who.name, None)
        return who.last

    def _patience(self, step: Step) -> float:
        """How long a call that is seen blocked is waited for: not at all where it should be, else as long as it may
        take of itself."""
        patience = self._timeout
        if step.call == "poll" and isinstance(step.arguments[2], Number):
            patience = max(patience, ctypes.c_int(step.arguments[2].value).value / 1000)
        expected = step.expectation
        if expected is not None and expected.first == "blocks" and not self._steps[-1].returned:
            return 0.0
        return patience + PATIENCE if expected is not None or patience or self._steps[-1].returned else 0.0

    def _wait(self, who: Actor, seconds: float) -> None:
        """Waits for a blocked call to return, though nobody moves."""
        while who.pending and seconds > 0 and self._left() > 0:
            # In short pieces: on a busy machine each comes late, and so does what is waited for.
            slept = self._sleep(min(seconds, _PIECE))
            self._allowance.idle(slept)
            seconds -= slept
        self._settle()

    # What the steps say

    def _resolve(self, who: Actor, value: Value) -> Any:
        """A value as the actor needs it: a number, a constant's name where only that says it, a text as its piece and
        how often."""
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Text):
            return [value.data, value.times]
        if isinstance(value, Items):
            return [self._resolve(who, item) for item in value.values]
        if isinstance(value, Constants):
            alone = value.names[0]
            return alone if alone in ("NULL", "BADPTR", "SIG_DFL", "SIG_IGN", "HANDLER") else number(value)
        assert isinstance(value, Name)
        if value.text in who.process.names:
            return who.process.names[value.text]
        if value.text in self._actors:
            return self._actors[value.text].process.pid
        raise Unmade(Reason.NAMELESS.say(who=value.text))

    def _guard(self, who: Actor, step: Step, arguments: list[Any], named: dict[str, Any]) -> None:
        """Refuses what would reach the hidden numbers or anybody outside of the run, and settles what the kernel
        chose."""
        told = [
            one
            for argument, value in zip(CALLS[step.call].arguments, arguments)
            if argument.takes == "fd"
            for one in (value if isinstance(value, list) else [value])
        ]
        told += [*named.get("fds", ()), *(_passed(named) if step.call == "sendmsg" else ())]
        if any(acting.HIDDEN <= one & 0xFFFFFFFF < acting.NUMBERS_MAX for one in told):
            raise _refused(step, Reason.NUMBERS_ITS_OWN.say(first=acting.HIDDEN, last=acting.NUMBERS_MAX - 1))
        if (
            step.call == "fcntl"
            and arguments[1] in [NUMBERS[name] for name in _DUPLICATING]
            and len(arguments) > 2
            and arguments[2] & 0xFFFFFFFF >= acting.HIDDEN - 8
        ):
            raise _refused(step, Reason.NUMBER_ITS_OWN.say(first=acting.HIDDEN - 8))
        if isinstance(arguments[0] if arguments else None, int) or step.call == "poll":
            row, item = self._seen(who, arguments[0])
            if limit := bounds.asks(step.call, arguments, row, item):
                raise _refused(step, limit)
        if step.call in ("kill", "pidfd_send_signal"):
            self._signals.add(arguments[1])
        if step.call == "connect":
            self._guard_connect(who, step, arguments)
        if step.call == "bind":
            self._guard_bind(who, step, arguments)
        if step.call in _SENDING and isinstance(arguments[0], int):
            self._guard_datagram(who, step, arguments[0])
        if step.call == "listen":
            self._guard_listener(who, step, arguments[0])
        if step.call == "pidfd_send_signal":
            self._guard_pidfd(step, self._seen(who, arguments[0])[1])
        if step.call in ("kill", "pidfd_open"):
            self._guard_number(step, arguments[0])
        if (
            step.call == "setsockopt"
            and arguments[2] in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)
            and isinstance(arguments[3], list)
        ):
            body = arguments[3][0] * arguments[3][1]
            if len(body) == 16:
                seconds, micro = struct.unpack("=qq", body)
                self._timeout = max(self._timeout, min(SECONDS, seconds + micro / 1e6))

    def _before(self) -> State:
        """What the last look found."""
        return (self._steps[-2].after if len(self._steps) > 1 else None) or NOTHING

    def _seen(self, who: Actor, fd: Any) -> tuple[Descriptor | None, Object | None]:
        """The descriptor, and what it stands for, as the last look found them; None: there was none."""
        facts = self._before()
        table = next((process.descriptors for process in facts.processes if process.name == who.process.name), [])
        row = next((row for row in table if isinstance(fd, int) and row.number == fd & 0xFFFF_FFFF), None)
        # By its description: several eventfds have one inode between them.
        return row, next((item for item in facts.objects if row and row.description in item.descriptions), None)

    def _strangers(self, inodes: set[int]) -> set[int]:
        """Those sockets that were never this run's: sockets' inodes are counted up, so one that was seen is the
        same."""
        return inodes - self._memory.kinds.keys()

    def _guard_connect(self, who: Actor, step: Step, arguments: list[Any]) -> None:
        """Gives a connect to port 0 the port that a bind was given. Refuses one that would lead to anybody outside of
        the run."""
        address = arguments[1][0] * arguments[1][1]
        _, item = self._seen(who, arguments[0])
        place = reach.parted(address)
        if place is None:
            if address.startswith(b"\0") and self._strangers(reach.named(address)):
                raise _refused(step, Reason.NAME.say(name=quoted(address)))
            return
        host, port = place
        over = reach.protocol(item)
        if item and over in ("tcp", "udp") and reach.leaves(item, host):
            to = port or self._ports.last(over, host)
            found = reach.receivers(over, host, to) if to else set()
            ours = bool(found - self._strangers(found)) or reach.own(self._before().objects, over, host, to)
            if not ours or self._strangers(found):
                raise _refused(
                    step,
                    (Reason.PORT_SHARED if ours else Reason.PORT_OVER).say(
                        port=port, host=host.decode(), protocol=over.upper()
                    ),
                )
        else:  # the kernel will not take it there; all the same no other port is named to it
            to = port or self._ports.last("tcp", host) or self._ports.last("udp", host)
            if to not in (self._ports.last("tcp", host), self._ports.last("udp", host)) or not to:
                raise _refused(step, Reason.PORT.say(port=port, host=host.decode()))
        arguments[1] = [host + b":%d" % to, 1]

    def _guard_bind(self, who: Actor, step: Step, arguments: list[Any]) -> None:
        """Refuses to share a stranger's port, and what is sent to it: options of both sockets allow that. socket(7),
        SO_REUSEPORT"""
        place, (_, item) = reach.parted(arguments[1][0] * arguments[1][1]), self._seen(who, arguments[0])
        over = reach.protocol(item)
        if not place or not place[1] or over not in ("tcp", "udp"):
            return
        with contextlib.suppress(OSError), tables.borrowed(who.process.pidfd, arguments[0]) as sock:
            shares = any(
                sock.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
            )
            if shares and self._strangers(reach.receivers(over, *place)):
                raise _refused(
                    step, Reason.PORT_TAKEN.say(port=place[1], host=place[0].decode(), protocol=over.upper())
                )

    def _guard_datagram(self, who: Actor, step: Step, fd: int) -> None:
        """Refuses to send to a port that was the run's when the socket was connected, and is a stranger's now."""
        if (place := reach.peer(self._seen(who, fd)[1])) and self._strangers(reach.receivers("udp", *place)):
            raise _refused(step, Reason.PORT_GONE.say(port=place[1], host=place[0].decode(), protocol="UDP"))

    def _guard_listener(self, who: Actor, step: Step, fd: int) -> None:
        """Refuses what would take connections from every network: listen(2) gives a socket without an address that of
        all."""
        with contextlib.suppress(OSError), tables.borrowed(who.process.pidfd, fd) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockname()[0] in ("0.0.0.0", "::"):
                raise _refused(step, Reason.EVERY_NETWORK)

    def _guard_pidfd(self, step: Step, item: Object | None) -> None:
        """Refuses a descriptor that stands for a stranger: SO_PEERPIDFD gives one of whoever has connected. A number of
        0 or less is nobody's any more."""
        pid = (item.process if item else 0) or 0
        if pid > 0 and all(process.pid != pid for process in self._processes):
            raise _refused(step, Reason.STRANGER.say(pid=pid))

    def _guard_number(self, step: Step, pid: int) -> None:
        """Refuses a process's number that has been given to somebody else since."""
        process = next(process for process in self._processes if process.pid == pid)
        if process.dead() and os.path.exists(f"/proc/{pid}") and tasks.exit_status(pid) is None:
            raise _refused(step, Reason.PID_GONE.say(who=process.name, pid=pid))

    def _foresee(self, who: Actor, pending: Pending, arguments: list[Any], named: dict[str, Any]) -> Pending:
        """Notes what a call may do to the queues, while everybody still stands where the last look saw them."""
        call = pending.step.call
        if call in _SENDING + _RECEIVING and isinstance(arguments[0], int):
            pending.inode = tables.inode(who.process.pid, arguments[0])
        flags = arguments[2] if call == "recv" else named.get("flags", 0)
        pending.peeks = bool(call in ("recv", "recvmsg") and flags & socket.MSG_PEEK)
        to = self._memory.peers.get(pending.inode)
        seen = self._memory.objects.get(pending.inode)
        if (
            not to
            and seen
            and seen.peer_address
            and seen.type in ("SOCK_STREAM", "SOCK_SEQPACKET")
            and not seen.listens
        ):
            to = -pending.inode  # nobody has accepted the connection
        if call in _SENDING and to:
            # other families pass none
            fds = _passed(named) if call == "sendmsg" and abs(to) in self._memory.unix else []
            texts = named["iov"] if call == "sendmsg" else [arguments[1]]
            size = sum(len(text[0]) * text[1] for text in texts if isinstance(text, list))
            if call == "write" and len(arguments) > 2:
                size = arguments[2]
            data = b"".join(bytes(text[0]) * min(text[1], peek.SHOWN) for text in texts if isinstance(text, list))[
                : min(size, peek.SHOWN)
            ]
            carried = tuple(self._carry(who, fd) for fd in fds)
            pending.sent = self._memory.queues.sending(to, self._memory.kinds.get(abs(to), ""), size, data, carried)
        return pending

    def _carry(self, who: Actor, number: int) -> Carried:
        description, inode = self._memory.numbering.of((who.process.pid, number))
        kind = self._memory.kinds.get(inode, "")
        return Carried(description, inode, "socket" if kind.startswith("SOCK_") else kind, who.process.name, number)

    def _note(self, who: Actor, pending: Pending, result: Result) -> None:
        """What a call has done to the queues."""
        value = None if result.errno else result.value
        if pending.sent:
            self._memory.queues.returned(pending.sent, value)
        if pending.step.call not in _RECEIVING or value is None or value < 0:
            return
        size = pending.step.arguments[1] if pending.step.call == "read" else None
        if isinstance(size, Number) and not size.value:
            return  # read(2) of nothing takes nothing
        fds = result.fds or []
        if not pending.peeks and pending.inode:
            self._received.append((who.name, result, pending.inode))
        for fd, carried in zip(fds, self._memory.queues.received(pending.inode, len(fds), pending.peeks)):
            self._memory.numbering.received((who.process.pid, fd), carried.description, carried.inode)

    def _tell_lost(self, entry: Taken, state: State, brought: dict[int, list[Flying]]) -> None:
        """Which descriptors have left a queue and were given to nobody: those for which a receiver had no room, or no
        control buffer at all, the kernel has closed. recvmsg(2), MSG_CTRUNC; unix(7)"""
        then, now = ({item.inode: item for item in facts.objects} for facts in (self._before(), state))
        received, self._received = self._received, []
        for name, result, inode in received:
            left = now[inode].in_flight if inode in now else None
            if left is UNSET or left is None or [at for *_, at in received].count(inode) > 1:
                continue  # nobody says, or two have received, and which of them lost what is not known
            had = then.get(inode)
            carried = (had.carried or [contents.UNKNOWN] * (had.in_flight or 0)) if had else []
            gone = [one or contents.UNKNOWN for one in carried + brought[inode]][: -left or None]
            if lost := gone[len(_rights(result.message.parts if result.message else [])) :]:
                result.lost = lost
                if name in entry.completed:
                    entry.completed[name].lost = lost

    # Who comes and goes

    def _begin(self, name: str) -> None:
        """Forks the first actor."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lifeline, end = socket.socketpair()
        pid = os.fork()
        if not pid:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (acting.NUMBERS_MAX, acting.NUMBERS_MAX))
                acting.begin(theirs.fileno(), end.fileno(), str(self._scratch), self._account, self._sandbox)
            finally:
                os._exit(70)
        theirs.close()
        end.close()
        process = Process(name, pid, os.pidfd_open(pid), lifeline, {})
        self._processes.append(process)
        self._enter(Actor(name, process, ours, thread=False))

    def _enter(self, actor: Actor) -> None:
        """Takes an actor on, once it has greeted."""
        self._actors[actor.name] = actor
        actor.process.actors.append(actor)
        poller = select.poll()
        poller.register(actor.control, select.POLLIN)
        while not poller.poll(_PIECE * 1000) and self._left() > 0:
            if tasks.sample(actor.process.pid, actor.process.pid).state != "R":
                self._allowance.idle(_PIECE)
        greeting = acting.receive(actor.control) if poller.poll(0) else None
        if greeting is None:
            raise TimedOut(Reason.NO_LIFE.say(who=actor.name))
        if "fault" in greeting[0]:
            raise Refused(Reason.NO_BEGINNING.say(who=actor.name, fault=greeting[0]["fault"]))
        actor.tid, actor.hidden = greeting[0]["tid"], greeting[0]["hidden"]
        if not actor.thread:
            actor.process.ears = tables.duplicate(actor.process.pidfd, greeting[0]["ears"])

    def _bring(self, who: Actor, step: Step, ends: list[socket.socket]) -> None:
        """Takes on what a fork or a thread has made. Of `ends`, control and lifeline, it takes those that are needed
        out of the list."""
        while who.pending and not who.ended:
            if self._left() <= 0:
                raise TimedOut(
                    Reason.LINE.say(line=step.place.line, why=Reason.NO_RETURN.say(call=step.call, who=who.name))
                )
            slept = self._sleep(_PIECE)
            if who.pending and standing.where(who).state != "R":
                self._allowance.idle(slept)
        result = who.last.result if who.last else None
        if result is None or result.errno or result.value is None:
            return
        process = who.process
        control = ends.pop(0)
        if step.call == "fork":
            pid = result.value
            process = Process(step.binds[0], pid, os.pidfd_open(pid), ends.pop(0), dict(who.process.names))
            self._processes.append(process)
        self._enter(Actor(step.binds[0], process, control, thread=step.call == "thread"))

    # Standing still

    def _settle(self) -> None:
        """Waits until every living task sleeps where it should: in its blocked call, or at its control socket.

        One pass over all in which nothing arrived means that nobody ran during it; two are asked for, so that a
        task that was woken in between by the kernel's own deferred work is seen too.
        """
        calm, wait = 0, 0.001
        while calm < 2:
            if self._left() <= 0:
                raise TimedOut(Reason.LATE.say(seconds=f"{SECONDS:g}", why=self._late()))
            began = time.monotonic()
            moved = self._collect(wait)
            slept = min(wait, time.monotonic() - began)
            unsettled = None if moved else self._unsettled()
            if moved or unsettled:
                calm, wait = 0, 0.0 if moved else 0.001
                if unsettled and unsettled[1].state != "R":
                    self._allowance.idle(slept)
            else:
                calm, wait = calm + 1, 0.0

    def _sleep(self, seconds: float) -> float:
        """Collects what arrives meanwhile. Seconds of it that were asked for: what a busy machine adds does not
        count."""
        began = time.monotonic()
        self._collect(seconds)
        return min(seconds, time.monotonic() - began)

    def _left(self) -> float:
        """Seconds that the run may still use; 0 or less: none."""
        for process in self._processes:
            if not process.ended:
                self._allowance.charge(process.pid)
        return self._allowance.left

    def _late(self) -> str:
        """Who still has to be waited for, in words."""
        unsettled = self._unsettled()
        if self._allowance.spent < SECONDS:
            return Reason.BUSY.say(seconds=f"{WALL:g}")
        return Reason.RUNS.say(who=unsettled[0].name) if unsettled else self._blocked() or Reason.ALL_STAND.say()

    def _unsettled(self) -> tuple[Actor, tasks.Sample] | None:
        """The first actor that still runs, and where it stands; None: there is none."""
        for actor in self._actors.values():
            if actor.ended:
                continue
            stand = standing.where(actor)
            if stand.stopped:
                continue  # not t: whoever traces it lets it go on
            if not standing.stands(actor, stand):
                return actor, stand
        return None

    def _collect(self, seconds: float) -> bool:
        """Takes in what has arrived, after waiting for it: answers, and ends. Whether there was any."""
        poller = select.poll()
        by_fd: dict[int, Actor] = {}
        for actor in self._actors.values():
            if not actor.ended:
                by_fd[actor.control.fileno()] = actor
                poller.register(actor.control, select.POLLIN)
        processes = {process.pidfd: process for process in self._processes if not process.ended}
        for pidfd in processes:
            poller.register(pidfd, select.POLLIN)
        ready = [fd for fd, _ in poller.poll(max(0.0, seconds) * 1000)]
        moved = False
        for fd in ready:  # answers before ends: a process may have answered and then died
            if fd in by_fd:
                moved |= self._hear(by_fd[fd])
        for fd in ready:
            if fd in processes:
                moved = True
                if not self._awaited(processes[fd]):
                    self._lose(processes[fd])
        return moved

    def _awaited(self, process: Process) -> bool:
        """Whether a parent has taken leave of a dead process already, and will say in a moment how it ended: nobody
        else can any more."""
        if process.status is None:
            process.status = tasks.exit_status(process.pid)  # kept: a moment later its parent may have taken leave
        if process.status is not None:
            return False
        waiters = [
            actor
            for actor in self._actors.values()
            if actor.pending and not actor.ended and actor.pending.step.call in _WAITING
            if actor.process is not process
        ]
        return not all(map(standing.stands, waiters))

    def _hear(self, actor: Actor) -> bool:
        """Takes one answer in, or the end of a thread."""
        try:
            order = acting.receive(actor.control)
        except (OSError, passing.PassingError):
            order = None
        if order is not None:
            self._complete(actor, order[0])
            return True
        # Only exit ends a thread alone. One that is gone from any other call went with its process, and the call never
        # returned: _lose tells it.
        leaves = actor.thread and actor.pending is not None and actor.pending.step.call == "exit"
        if leaves and not actor.ended and not os.path.exists(f"/proc/{actor.process.pid}/task/{actor.tid}"):
            actor.ended = True
            self._complete(actor, {"value": 0, "errno": 0})
            return True
        return False

    def _lose(self, process: Process) -> None:
        """A process has ended, with every thread of it."""
        for actor in process.actors:
            while not actor.ended and select.select([actor.control], [], [], 0)[0] and self._hear(actor):
                pass
        process.ended = True
        for actor in process.actors:
            if actor.ended:
                continue
            actor.ended = True
            if actor.pending:
                self._complete(actor, {"ended": True})

    def _complete(self, actor: Actor, answer: dict[str, Any]) -> None:
        """A call has returned, or its process has not survived it."""
        pending, actor.pending = actor.pending, None
        if pending is None:
            return
        outcome = self._outcome(actor, pending, answer)
        self._note(actor, pending, outcome.result)
        actor.last = outcome
        if self._steps:
            self._steps[-1].completed[actor.name] = Completed(
                of=pending.index, **{name: getattr(outcome.result, name) for name in Result.__struct_fields__}
            )

    def _outcome(self, actor: Actor, pending: Pending, answer: dict[str, Any]) -> Outcome:
        step, result = pending.step, _nothing()
        raw: bytes | None = answer.get("data")
        if answer.get("fault"):
            result.fault = answer["fault"]
        elif answer.get("ended"):
            status = actor.process.status
            result.ended = ending(status)
            if status is not None and os.WIFSIGNALED(status):
                result.killed = os.WTERMSIG(status)
            elif status is not None and step.call == "exit":
                result.value = result.status = os.WEXITSTATUS(status)
        else:
            result.value = answer["value"]
            result.errno = errno_name(answer["errno"]) if answer["errno"] else None
            result.duration_ns = answer.get("duration_ns", 0)
        if raw is not None:
            result.data = base64.b64encode(raw[:DATA_SHOWN]).decode()
            result.bytes = len(raw)
            if len(raw) == 8:
                result.held = int.from_bytes(raw, "little")
        for key in ("made", "revents", "before", "port"):
            if key in answer:
                setattr(result, key, answer[key])
        if "port" in answer:
            self._ports.bound(answer["protocol"], answer["address"].rpartition(b":")[0], answer["port"])
        if "option" in answer:
            result.option = base64.b64encode(answer["option"]).decode()
            result.held = _held(answer["option"])
        if "wait" in answer:
            self._waited(result, answer)
        if "sent" in answer:
            result.message = message.described(answer["sent"])
        if "received" in answer:
            received: Message = message.described(answer["received"])
            result.message = received
            result.msg_flags = received.msg_flags
            result.fds = result.made = [fd for part in received.parts for fd in part.fds or ()]
            result.creds = next((part.creds for part in received.parts if part.creds), None)
        self._bind(actor, pending, result)
        return Outcome(result, raw)

    def _waited(self, result: Result, answer: dict[str, Any]) -> None:
        status = answer["wait"]
        if os.WIFSIGNALED(status):
            result.killed = os.WTERMSIG(status)
        elif os.WIFEXITED(status):
            result.status = os.WEXITSTATUS(status)
        elif os.WIFSTOPPED(status):
            result.stopped = os.WSTOPSIG(status)
        elif os.WIFCONTINUED(status):
            result.continued = int(signal.SIGCONT)
        for process in self._processes:
            if process.pid == answer["value"] and (os.WIFSIGNALED(status) or os.WIFEXITED(status)):
                process.status = status

    def _bind(self, actor: Actor, pending: Pending, result: Result) -> None:
        """Gives names to the descriptors that a call made, and remembers which sockets are each other's ends."""
        step, made = pending.step, result.made or []
        if CALLS[step.call].binds != "process":
            actor.process.names.update(zip(step.binds, made))
        # dup2(2): to a number that is the same it does nothing
        if not (step.call == "dup2" and result.value == pending.first):
            self._memory.numbering.made((actor.process.pid, number) for number in made)
        if step.call == "socketpair" and len(made) == 2:
            here, there = (tables.inode(actor.process.pid, number) for number in made)
            self._memory.peers |= {here: there, there: here}

    # The end

    def clear(self) -> None:
        """Kills and reaps every process of the run, and closes what it held."""
        self._memory.asker.close()
        if self._processes:
            # The first actor leads a group that no call of a scenario leaves, and its number is taken until it is
            # reaped here.
            group = self._processes[0].pid
            os.kill(group, signal.SIGKILL)  # it may not have come so far as to lead
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            os.waitpid(group, 0)
            with contextlib.suppress(ChildProcessError):
                while True:  # whoever has lost its parent is this process's child
                    os.waitpid(-group, 0)
        for process in self._processes:
            os.close(process.pidfd)
            if process.ears is not None:
                os.close(process.ears)
            process.lifeline.close()
        for actor in self._actors.values():
            actor.control.close()


def _refused(step: Step, why: str) -> Refused:
    return Refused(Reason.LINE.say(line=step.place.line, why=why))


def _passed(named: dict[str, Any]) -> list[int]:
    """The descriptors that a sendmsg passes: those in its control data as the kernel reads them, whatever its arguments
    claim."""
    data, length = control_data(**named)
    return _rights(message.parts(data[:length].ljust(length, b"\0")))


def _rights(parts: list[Part]) -> list[int]:
    return [fd for part in parts if part.type == "SCM_RIGHTS" for fd in part.fds or ()]


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _nothing() -> Result:
    return Result(value=None, errno=None, data=None, blocked=False, duration_ns=0, message=None)


def _told(value: Any) -> Any:
    """An argument as made, JSON-able: of a text its beginning."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], bytes):
        return {"data": base64.b64encode(value[0][:DATA_SHOWN]).decode(), "times": value[1]}
    return [_told(item) for item in value] if isinstance(value, list) else value


def _held(option: bytes) -> int | list[int]:
    """An option's value: a number, or several."""
    if len(option) == 4:
        return int(struct.unpack("=i", option)[0])
    if len(option) == 8 or len(option) == 16:
        return list(struct.unpack(f"={len(option) // 8}q", option))
    return list(struct.unpack(f"={len(option) // 4}i", option[: len(option) & ~3]))
