"""The collection: classic programs of our own, each in C and in Python, `NN-name.c` and `NN-name.py`.

What they are called and what to look at stands here, for gettext; a source is English, as programs are. Each ends by
itself, writes only in its working directory, and needs nothing of a network.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Literal

from pairscope.sentence import Sentence, phrase

Language = Literal["c", "python"]
SUFFIXES: dict[Language, str] = {"c": ".c", "python": ".py"}
_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What a list of the collection shows of a program."""

    number: int
    name: str
    """Of its files, without number and suffix."""
    title: Sentence
    look: Sentence
    """What to look at when one steps through it."""
    man: str

    def source(self, language: Language) -> str:
        """The program in C or in Python."""
        return _read(f"{self.number:02}-{self.name}{SUFFIXES[language]}")


@functools.cache
def _read(file: str) -> str:
    return (_HERE / file).read_text(encoding="utf-8")


def find(name: str) -> Entry | None:
    """The program of that name; None: there is none."""
    return next((entry for entry in ENTRIES if entry.name == name), None)


ENTRIES = (
    Entry(
        1, "pair", phrase("A pair in one process"),
        phrase("Between write and read the bytes wait in the socket: look at the picture after the write. After the "
               "close a read gives 0; end of file is told in no other way."),
        "socketpair(2) write(2) read(2)",
    ),
    Entry(
        2, "parent-and-child", phrase("Parent and child"),
        phrase("fork copies the table, so each holds both ends until it closes one. The child's last read gives 0 only "
               "because nobody holds the other end any more: take out its first close, and it waits forever."),
        "fork(2) socketpair(2) waitpid(2)",
    ),
    Entry(
        3, "both-directions", phrase("Both directions on one pair"),
        phrase("A socket pair is two queues. Each message is read whole, however large the buffer, because the type is "
               "SOCK_SEQPACKET. shutdown ends one direction and leaves the other."),
        "socketpair(2) send(2) recv(2) shutdown(2)",
    ),
    Entry(
        4, "gather-and-scatter", phrase("Gather and scatter"),
        phrase("Three pieces go out and two come in, with borders elsewhere: a stream keeps bytes in order, and no "
               "borders at all."),
        "sendmsg(2) recvmsg(2) iovec(3type)",
    ),
    Entry(
        5, "passed-descriptor", phrase("A descriptor is passed"),
        phrase("The child's number and the parent's may differ, and lead to one open file description. Between sendmsg "
               "and recvmsg the descriptor is in flight: no table holds it, and the child may be gone."),
        "cmsg(3) unix(7) sendmsg(2)",
    ),
    Entry(
        6, "passed-listener", phrase("A listening socket is passed"),
        phrase("The parent closes its own, and the door stays open: the child has it now. That is how a server hands "
               "its port to the next version of itself."),
        "cmsg(3) listen(2) accept(2)",
    ),
    Entry(
        7, "preforked", phrase("A pre-forked server"),
        phrase("All workers sleep in accept on one socket, and the kernel wakes one for each connection: which one, it "
               "chooses. shutdown of the listening socket wakes all of them."),
        "accept(2) fork(2) shutdown(2)",
    ),
    Entry(
        8, "poll", phrase("A server with poll"),
        phrase("The whole table is handed over at each call and comes back with marks. Two clients are served by one "
               "process that sleeps in one place only."),
        "poll(2) accept(2)",
    ),
    Entry(
        9, "epoll", phrase("The same with epoll"),
        phrase("The kernel keeps the table: epoll_ctl adds to it once, epoll_wait gives only who is ready. Compare the "
               "arguments of its calls with those of poll."),
        "epoll(7) epoll_ctl(2) epoll_wait(2)",
    ),
    Entry(
        10, "shell-pipe", phrase("a | b, as a shell makes it"),
        phrase("dup2 puts the ends of the pipe where the programs expect them, at 0 and 1, and execve leaves them "
               "there. Every other copy is closed: one that is left, and wc never sees the end."),
        "pipe(2) dup2(2) execve(2)",
    ),
    Entry(
        11, "self-pipe", phrase("The self-pipe trick"),
        phrase("A signal can come just before poll begins to wait, and would be missed. As a byte in a pipe it is "
               "still there. Look for the write of the handler, between two steps of main."),
        "signal-safety(7) sigaction(2) poll(2)",
    ),
    Entry(
        12, "sigchld", phrase("Children end, and SIGCHLD tells"),
        phrase("Count the signals and the ends: a signal that waits already is not queued again, so each one is "
               "answered by reaping until nobody is left."),
        "signal(7) waitpid(2) sigsuspend(2)",
    ),
    Entry(
        13, "fifo", phrase("A FIFO: a pipe with a name"),
        phrase("Whoever opens it waits for the other side. Behind the name is a pipe like any other, and the file "
               "never has any content. open, and what goes through what it opened, are no steps of a recording."),
        "fifo(7) mkfifo(3)",
    ),
    Entry(
        14, "shared-memory", phrase("Shared memory with a lock"),
        phrase("The count is right, and no step shows how: what goes through shared memory is no system call. What can "
               "be seen is the memory's descriptor, and where somebody had to wait."),
        "memfd_create(2) mmap(2) pthread_mutex_lock(3p) fcntl_locking(2)",
    ),
    Entry(
        15, "sealed", phrase("A memfd with seals"),
        phrase("Before the seals a write goes through, after them none does, nor a cut, nor a mapping that could "
               "write. Who receives such a descriptor may read it without fear that it changes meanwhile."),
        "memfd_create(2) F_ADD_SEALS(2const)",
    ),
    Entry(
        16, "worker-pool", phrase("A worker pool of twenty lines"),
        phrase("One queue for all: whoever is free takes the next task, so nobody has to share them out. The parent "
               "closes its end, and every worker reads 0 and goes."),
        "socketpair(2) read(2)",
    ),
    Entry(
        17, "deadlock", phrase("A deadlock"),
        phrase("Both are in a read that only the other could end. Nothing here is an error, and nothing goes on: an "
               "alarm ends the parent, and its end the child's read."),
        "read(2) alarm(2)",
    ),
)  # fmt: skip
