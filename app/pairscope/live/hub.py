"""The hub: one thread, one epoll. Doors, callers, tickets, viewers, and the pair to the supervisor.

What is told is made by another thread (:mod:`pairscope.live.asker`), which may wait for the database. The work of both
is bounded to a fifth of the machine's processor time, and to half of a core: behind each round of rendering and
sending live rests so many times the processor time that this took. With more viewers or more rows updates become
rarer; each tells what is true when it is made.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable

from flask import Flask

from pairscope.config import Settings
from pairscope.ipc import payloads as say
from pairscope.ipc.descriptor import look
from pairscope.live import figures
from pairscope.live.asker import Answer, Asker, Wish
from pairscope.live.door import Caller, Door, Handed, PassingError
from pairscope.live.notice import Notice
from pairscope.live.pack import GZIP_HEADER, Packer, event
from pairscope.live.register import Wanted
from pairscope.live.report import Report, resumed
from pairscope.live.source import Source
from pairscope.live.stream import Standing
from pairscope.live.subject import Subject
from pairscope.live.tickets import FOLLOWED, Asked, Ticket, Tickets
from pairscope.live.viewers import Viewer, Viewers
from pairscope.store.filter import FilterError
from pairscope.store.filter.conditions import read
from pairscope.web.languages import LANGUAGES
from pairscope.web.shell.pushed import VIEWS

log = logging.getLogger("live")

LEAST_REST = 0.025
"""Seconds between two rounds, however short they are. With 0.04 a row waited 20 ms for its round where one takes 10."""
REST = 1 / min(0.5, 0.2 * len(os.sched_getaffinity(0))) - 1
"""Times the processor time of a round, for which it rests afterwards. To send to 15,000 takes 0.15 s: with a fifth of
one core alone, rows would be half a second old at the median."""
TICK = 0.5
"""Seconds after which somebody looks at what is due."""
BEAT = 2.0
"""Seconds after which a stream in which nothing happens says so: a page that has heard nothing for 4.5 s asks."""
LATE = 3.0
"""Seconds after which a round that is under way says that nothing can be told: the database stands still."""
AGAIN = 60.0
"""Seconds after which who came as an operator comes again: a login may have ended."""
GIVES_WAY = 60.0
"""Seconds after which it leaves at a restart though no other live has come."""
SPARE_FDS = 1024
"""Descriptors that are no viewers', where there are as many."""

GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Hub:
    """One process of live."""

    def __init__(self, settings: Settings, app: Flask) -> None:
        self._directory = settings.live_run
        self._public = settings.public_read
        self._epoll = select.epoll()
        self._packer = Packer()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = min(settings.live_viewers, max(limit // 2, limit - SPARE_FDS))
        each = most if settings.trusted_proxies else min(settings.live_each, most)
        self.viewers = Viewers(most, each, self._room)
        self.tickets = Tickets(self._directory, min(4096, limit // 8))
        before = figures.read(settings, stale=figures.RESUMED)
        self._asker = Asker(Source(app), resumed(before))
        self._report = Report(self._directory, most, each, before)
        self._heard: dict[int, Callable[[], None]] = {}
        """Who hears what comes through a descriptor, but for the viewers'."""
        self._callers: dict[int, Caller | Asked] = {}
        self._notice = Notice(settings)
        self._wake, self._signals = socket.socketpair()
        for each_end in (self._wake, self._signals):
            each_end.setblocking(False)
        self._stop = False
        self._last = float("inf")
        """Until when it waits for the live that comes next (s of the monotonic clock)."""
        self._grown = False
        """The record has grown since the last round."""
        self._next = 0.0
        """When the next round may begin (s of the monotonic clock), and the next look at what is due."""
        self._due = 0.0
        self._told: dict[Subject, float] = {}
        """When something was last said of each subject."""
        self._standing: dict[Subject, Standing] = {}
        self._comes: dict[Subject, list[Viewer]] = {}
        """Who has not been welcomed yet."""
        self._shown: dict[Subject, list[str]] = {}
        self._words = {
            why: self._packer.block(event("bye", why)) for why in ("slow", "full", "crowd", "restart", "away", "again")
        }

    # ---- the loop

    def run(self) -> None:
        """Serves until SIGTERM; from SIGHUP on until another live serves."""
        signal.set_wakeup_fd(self._signals.fileno())
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, self._give_way)
        self._watch(self._wake, self._drain)
        self._watch(self._asker.wake, self._answered)
        self._watch(self.tickets.register, self._asked)
        for subject in (Subject(view, language) for view in VIEWS for language in LANGUAGES) if self._public else ():
            door = Door(self._directory, subject.name)
            self._watch(door.sock, functools.partial(self._called, door, subject))
        self._asker.start()
        log.info("up to %d viewers, %d of one address", self._report.most, self._report.each)
        while not self._stop:
            now = time.monotonic()
            wait = min(self._due, self._next if self._grown and not self._asker.asked else self._due) - now
            for fd, happened in self._epoll.poll(max(0.0, wait), 512):
                if (viewer := self.viewers.by_fd.get(fd)) is not None:
                    self._of_viewer(viewer, happened)
                elif (hears := self._heard.get(fd)) is not None:
                    hears()
            now = time.monotonic()
            if now >= self._due:
                self._look(now)
            if self._grown and now >= self._next and not self._asker.asked:
                self._ask()
        self._leave()

    def _end(self, *_: object) -> None:
        self._stop = True

    def _give_way(self, *_: object) -> None:
        self._last = time.monotonic() + GIVES_WAY

    def _watch(self, sock: socket.socket, hears: Callable[[], None]) -> None:
        self._heard[sock.fileno()] = hears
        self._epoll.register(sock, select.EPOLLIN)

    def _unwatch(self, sock: socket.socket) -> None:
        """It is about to be closed, which takes it out of epoll."""
        self._heard.pop(sock.fileno(), None)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(512)

    # ---- who comes and goes

    def _called(self, door: Door, subject: Subject, ticket: Ticket | None = None) -> None:
        callers = door.callers(1 if ticket else 256)
        if ticket and callers:
            self._end_ticket(ticket, "used")
        for caller in callers:
            hears = functools.partial(self._of_caller, caller, subject)
            self._callers[caller.sock.fileno()] = caller
            self._watch(caller.sock, hears)
            hears()

    def _of_caller(self, caller: Caller, subject: Subject) -> None:
        try:
            handed = caller.take()
        except BlockingIOError:
            return
        except (OSError, PassingError):
            handed = None
        self._close(caller)
        if handed is not None:
            self._report.handed += 1
            self._report.recorded += self._notice.handed(_reported(handed), time.monotonic())
            self._come(handed, subject)

    def _close(self, caller: Caller | Asked) -> None:
        self._unwatch(caller.sock)
        self._callers.pop(caller.sock.fileno(), None)
        caller.sock.close()

    def _come(self, handed: Handed, subject: Subject) -> None:
        now = time.monotonic()
        refusal = self.viewers.refusal(handed.address)
        if refusal:
            self.viewers.ends[refusal] += 1
            with contextlib.suppress(OSError):
                handed.sock.send(GZIP_HEADER + self._words[refusal])
            handed.sock.close()
            return
        viewer = self.viewers.add(handed, subject)
        viewer.until = now + AGAIN if subject.operator else float("inf")
        self._epoll.register(viewer.fd, select.EPOLLIN | select.EPOLLRDHUP)
        self.viewers.send(viewer, GZIP_HEADER, now)
        if viewer.fd in self.viewers.by_fd:
            standing = self._standing.get(subject)
            if standing is not None and standing.whole:
                self._welcome(viewer, standing, now)
            else:
                self._comes.setdefault(subject, []).append(viewer)
                self._grown = True

    def _welcome(self, viewer: Viewer, standing: Standing, now: float) -> None:
        """Tells it all that was there, and what feeds it."""
        fed = f"{os.getpid()} {viewer.fd} {viewer.apache}"
        joined = self._packer.block(event("joined", fed, f"{standing.at}/{standing.at}"))
        self.viewers.send(viewer, b"".join((*standing.kept, joined)), now)

    def _of_viewer(self, viewer: Viewer, happened: int) -> None:
        if happened & GONE:
            return self.viewers.drop(viewer, "left")
        if happened & select.EPOLLIN:
            # Who follows a page has nothing to say: what a viewer sends is no request of ours.
            return self.viewers.drop(viewer, "spoke")
        if happened & select.EPOLLOUT:
            self.viewers.resume(viewer, time.monotonic())

    def _room(self, viewer: Viewer, wanted: bool) -> None:
        self._epoll.modify(viewer.fd, select.EPOLLIN | select.EPOLLRDHUP | (select.EPOLLOUT if wanted else 0))

    # ---- tickets

    def _asked(self) -> None:
        """Web wants a ticket."""
        with contextlib.suppress(BlockingIOError):
            asked = Asked(self.tickets.register.accept()[0])
            hears = functools.partial(self._give, asked)
            self._callers[asked.sock.fileno()] = asked
            self._watch(asked.sock, hears)
            hears()

    def _give(self, asked: Asked) -> None:
        try:
            wanted = asked.wanted()
        except BlockingIOError:
            return
        subject = _subject(wanted) if wanted else None
        ticket = None
        if wanted is None or subject is None:
            given = self.tickets.refuse("wrong")
        elif self._followed(subject) >= FOLLOWED:
            given = self.tickets.refuse("full")
        else:
            given, ticket = self.tickets.give(subject, wanted.who, time.monotonic())
            self._shown.setdefault(subject, []).extend(wanted.shown if ticket else ())
            self._grown = True  # from now on its rows are kept
        if ticket:
            self._watch(ticket.door.sock, functools.partial(self._called, ticket.door, ticket.subject, ticket))
        asked.answer(given)
        self._close(asked)

    def _followed(self, subject: Subject) -> int:
        """How many subjects of one's own are followed, beside this one."""
        followed = {each for each in self.viewers.by_stream if not each.shared}
        return len((followed | self.tickets.subjects()) - {subject})

    def _end_ticket(self, ticket: Ticket, how: str) -> None:
        self._unwatch(ticket.door.sock)
        self.tickets.end(ticket, how)

    # ---- rounds

    def _ask(self) -> None:
        """Has what is new rendered."""
        followed = {subject: subject in self._comes for subject in self.viewers.by_stream}
        shown, self._shown = self._shown, {}
        grown, self._grown = self._grown, False
        self._asker.ask(Wish(followed, frozenset(self.tickets.subjects()), shown, grown))

    def _answered(self) -> None:
        """Sends what came of it."""
        answer = self._asker.told()
        if answer is None:
            return
        begun, now = time.thread_time(), time.monotonic()
        self._take(answer, now)
        self._next = time.monotonic() + max(LEAST_REST, REST * (time.thread_time() - begun + answer.used))

    def _take(self, answer: Answer, now: float) -> None:
        for subject, block in answer.blocks.items():
            self._told[subject] = now
            self.viewers.broadcast(subject, block, now)
        self._standing = dict(answer.standing)
        self._report.stand(self._standing)
        comes, self._comes = self._comes, {}
        for subject, those in comes.items():
            standing = self._standing.get(subject)
            for viewer in those:
                if self.viewers.by_fd.get(viewer.fd) is not viewer or viewer.left:
                    continue
                if standing is None or not (standing.whole or standing.trouble):
                    self._comes.setdefault(subject, []).append(viewer)
                elif standing.whole:
                    self._welcome(viewer, standing, now)
                else:
                    self.viewers.farewell(viewer, self._words["away"], "away", now)

    def _look(self, now: float) -> None:
        """At what is due."""
        self._due = now + TICK
        if self._last < float("inf") and (now > self._last or self.tickets.succeeded()):
            self._stop = True
            return
        late = 0 < self._asker.asked < now - LATE
        for subject in list(self.viewers.by_stream):
            if now >= self._told.setdefault(subject, now) + BEAT:
                self._told[subject] = now
                standing = self._standing.get(subject)
                refused = late or (standing is not None and standing.trouble)
                self.viewers.broadcast(subject, self._packer.block(event("beat", "refused" if refused else "")), now)
        self._told = {subject: at for subject, at in self._told.items() if subject in self.viewers.by_stream}
        self.viewers.late(self._words["slow"], now)
        self.viewers.renew(self._words["again"], now)
        for caller in [caller for caller in self._callers.values() if now > caller.until]:
            self._close(caller)
        for ticket in [ticket for ticket in self.tickets.waiting.values() if now > ticket.until]:
            self._end_ticket(ticket, "expired")
        if (channel := self._notice.connect(now)) is not None:
            self._heard[channel.fileno()] = functools.partial(self._told_of_commit, channel.fileno())
            self._epoll.register(channel.fileno(), select.EPOLLIN)
            self._grown = True
        self._report.write(self.viewers, self.tickets)
        if now >= self._next and not self._asker.asked:
            # Without a supervisor nobody tells of commits. With one, what stands around the rows is looked at.
            self._grown = self._grown or self._notice.channel is None
            self._ask()

    def _told_of_commit(self, fd: int) -> None:
        self._grown = self._notice.heard() or self._grown
        if self._notice.channel is None:
            self._heard.pop(fd, None)

    def _leave(self) -> None:
        """Tells everybody to come again, and where the next live goes on."""
        now = time.monotonic()
        if not self.tickets.succeeded():
            self._report.write(self.viewers, self.tickets)
        for viewer in list(self.viewers.by_fd.values()):
            self.viewers.send(viewer, self._words["restart"], now)
        for ticket in list(self.tickets.waiting.values()):
            self._end_ticket(ticket, "expired")
        self._notice.close()


def _reported(handed: Handed) -> say.Viewer:
    """What the record tells of it."""
    seen = look(handed.sock.fileno())
    return say.Viewer(handed.pid, handed.sock.fileno(), seen.device, seen.inode, seen.flags, time.monotonic_ns())


def _subject(wanted: Wanted) -> Subject | None:
    """What it names; None: nothing that can be followed."""
    subject = Subject(wanted.view, wanted.language, wanted.text, wanted.operator)
    try:
        if subject.table:
            read(subject.text, subject.table)
    except (FilterError, KeyError):
        return None
    return subject if subject.view in VIEWS and subject.language in LANGUAGES else None
