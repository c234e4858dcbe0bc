"""The hub: one thread, one epoll. Doors, callers, viewers, and the pair to the supervisor.

Its work is bounded: behind each round of rendering and sending it rests four times the processor time that this took,
so that it never takes more than a fifth of a core for long. With more viewers or more rows updates become rarer; each
tells what is true when it is made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import signal
import socket
import time

from flask import Flask

from pairscope.config import Settings
from pairscope.live import figures
from pairscope.live.door import Caller, Door, Handed, PassingError
from pairscope.live.notice import Notice
from pairscope.live.pack import GZIP_HEADER, Packer, event
from pairscope.live.source import Source
from pairscope.live.stream import IDLE, Stream
from pairscope.live.viewers import Viewer, Viewers
from pairscope.store import errors
from pairscope.web.languages import LANGUAGES
from pairscope.web.shell.pushed import SHARED

log = logging.getLogger("live")

LEAST_REST = 0.04
"""Seconds between two rounds, however short they are."""
REST = 4.0
"""Times the processor time of a round, for which it rests afterwards."""
TICK = 0.5
"""Seconds after which somebody looks at what is due."""
BEAT = 2.0
"""Seconds after which a stream in which nothing happens says so: a page that has heard nothing for 4.5 s asks."""
SPARE_FDS = 1024
"""Descriptors that are no viewers', where there are as many."""

GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Hub:
    """One process of live."""

    def __init__(self, settings: Settings, app: Flask) -> None:
        self._settings = settings
        self._directory = settings.live_run
        self._epoll = select.epoll()
        self._packer = Packer()
        source = Source(app)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = min(settings.live_viewers, max(limit // 2, limit - SPARE_FDS))
        self._each = self._most if settings.trusted_proxies else min(settings.live_each, self._most)
        self.viewers = Viewers(self._most, self._each, self._room)
        self.streams = {
            stream.name: stream
            for stream in (Stream(page, language, source, self._packer) for page in SHARED for language in LANGUAGES)
        }
        self._resumed = figures.read(settings, stale=figures.RESUMED)
        self._doors: dict[int, Door] = {}
        self._callers: dict[int, Caller] = {}
        self._notice = Notice(settings)
        self._wake, signals = socket.socketpair()
        for each in (self._wake, signals):
            each.setblocking(False)
        signal.set_wakeup_fd(signals.fileno())
        self._signals = signals
        self._stop = False
        self._begun = time.monotonic()
        self._grown = False
        """The record has grown since the last round."""
        self._next = 0.0
        """When the next round may begin (s of the monotonic clock), and the next look at what is due."""
        self._due = 0.0
        self._told: dict[str, float] = {}
        """When something was last said in each stream."""
        self._handed = 0
        self._words = {
            why: self._packer.block(event("bye", why)) for why in ("slow", "full", "crowd", "restart", "away")
        }

    # ---- the loop

    def run(self) -> None:
        """Serves until SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        self._epoll.register(self._wake, select.EPOLLIN)
        for stream in self.streams.values():
            door = Door(self._directory, stream.name)
            self._doors[door.sock.fileno()] = door
            self._epoll.register(door.sock, select.EPOLLIN)
        log.info("up to %d viewers, %d of one address", self._most, self._each)
        while not self._stop:
            now = time.monotonic()
            wait = min(self._due, self._next if self._grown else self._due) - now
            for fd, happened in self._epoll.poll(max(0.0, wait), 512):
                self._react(fd, happened)
            now = time.monotonic()
            if now >= self._due or (self._grown and now >= self._next):
                self._round(now)
        self._leave()

    def _end(self, *_: object) -> None:
        self._stop = True

    def _react(self, fd: int, happened: int) -> None:
        if (viewer := self.viewers.by_fd.get(fd)) is not None:
            self._of_viewer(viewer, happened)
        elif (door := self._doors.get(fd)) is not None:
            for caller in door.callers():
                self._callers[caller.sock.fileno()] = caller
                self._epoll.register(caller.sock, select.EPOLLIN)
                self._of_caller(caller)
        elif (known := self._callers.get(fd)) is not None:
            self._of_caller(known)
        elif fd == self._wake.fileno():
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(512)
        elif self._notice.channel is not None and fd == self._notice.channel.fileno():
            self._grown = self._notice.heard() or self._grown

    # ---- who comes and goes

    def _of_caller(self, caller: Caller) -> None:
        try:
            handed = caller.take()
        except BlockingIOError:
            return
        except (OSError, PassingError):
            handed = None
        self._close(caller)
        if handed is not None:
            self._handed += 1
            self._come(handed, self.streams[caller.door.name])

    def _close(self, caller: Caller) -> None:
        self._callers.pop(caller.sock.fileno(), None)
        caller.sock.close()

    def _come(self, handed: Handed, stream: Stream) -> None:
        now = time.monotonic()
        refusal = self.viewers.refusal(handed.address)
        if refusal:
            self.viewers.ends[refusal] += 1
            with contextlib.suppress(OSError):
                handed.sock.send(GZIP_HEADER + self._words[refusal])
            handed.sock.close()
            return
        viewer = self.viewers.add(handed, stream.name)
        self._epoll.register(viewer.fd, select.EPOLLIN | select.EPOLLRDHUP)
        welcome = self._welcome(stream, now, f"{os.getpid()} {viewer.fd} {handed.pid}")
        if welcome:
            self.viewers.send(viewer, welcome, now)
        else:
            self.viewers.farewell(viewer, GZIP_HEADER + self._words["away"], "away", now)

    def _welcome(self, stream: Stream, now: float, fed: str) -> bytes:
        """What a viewer gets first; empty: the database cannot be asked."""
        try:
            if not stream.begun:
                self._begin(stream)
            return stream.welcome(now, fed)
        except Exception as error:
            if errors.of(error) is None:
                raise
            return b""

    def _begin(self, stream: Stream) -> None:
        fresh = time.monotonic() < self._begun + figures.RESUMED
        before = self._resumed.streams.get(stream.name) if self._resumed and fresh else None
        if before is not None and before.cursor:
            stream.begin(before.cursor, before.at)
            self._grown = True
        else:
            stream.begin()

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

    # ---- rounds

    def _round(self, begun: float) -> None:
        """Renders and sends what is new; says where nothing is; looks who has to go."""
        used = time.thread_time()  # not the clock's: on a busy machine a round takes many times as long
        grown, self._grown = self._grown, False
        for name, stream in self.streams.items():
            if not self.viewers.by_stream.get(name):
                if stream.begun and begun > stream.left + IDLE:
                    stream.forget()
                continue
            stream.left = begun
            if not stream.begun:
                continue
            # Without a supervisor nobody tells of commits.
            block = stream.look(begun, grown or self._notice.channel is None)
            if not block and begun >= self._told.get(name, 0.0) + BEAT:
                block = stream.beat()
            if block:
                self._told[name] = begun
                self.viewers.broadcast(name, block, begun)
        now = time.monotonic()
        if now >= self._due:
            self._due = now + TICK
            self._look(now)
        self._next = time.monotonic() + max(LEAST_REST, REST * (time.thread_time() - used))
        self._due = max(self._due, self._next)

    def _look(self, now: float) -> None:
        self.viewers.late(self._words["slow"], now)
        for caller in list(self._callers.values()):
            if now > caller.until:
                self._close(caller)
        if (channel := self._notice.connect(now)) is not None:
            self._epoll.register(channel.fileno(), select.EPOLLIN)
            self._grown = True
        self._say()

    def _say(self) -> None:
        """Writes how it stands."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        before = self._resumed.streams if self._resumed else {}
        streams = {}
        for name, stream in self.streams.items():
            kept = before.get(name)
            if stream.begun or kept is None:
                cursor, at = stream.cursor, stream.at
            else:
                cursor, at = kept.cursor, kept.at
            viewers = len(self.viewers.by_stream.get(name, ()))
            streams[name] = figures.StreamFigures(viewers, cursor, at, stream.events, stream.rows)
        told = figures.Figures(
            time.time_ns(),
            os.getpid(),
            len(self.viewers),
            self._most,
            self._each,
            len(self.viewers.behind),
            self._handed,
            self.viewers.sent_bytes,
            dict(self.viewers.ends),
            used.ru_utime + used.ru_stime,
            streams,
        )
        figures.write(self._directory, told)

    def _leave(self) -> None:
        """Tells everybody to come again, and where the next live goes on."""
        now = time.monotonic()
        self._say()
        for viewer in list(self.viewers.by_fd.values()):
            self.viewers.send(viewer, self._words["restart"], now)
        self._notice.close()
