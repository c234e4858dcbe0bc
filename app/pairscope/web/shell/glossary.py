"""Terms of the field, each in one sentence with the manual page that has the rest.

A page marks a term where it first appears (the macro ``term``); the sentences of the terms that were marked stand once
at the end of the page, as popovers that open without a script.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flask import Flask, g
from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from pairscope.ipc.vocabulary import KINDS
from pairscope.sentence import phrase


class Term(NamedTuple):
    """A word, what it means, and where to read on. A word that is no name of the kernel's is a sentence: a page
    translates it."""

    word: str
    meaning: LazyString
    manual: str = ""

    @property
    def anchor(self) -> str:
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.word.lower()).strip("-")

    @property
    def page(self) -> str:
        """Address of the manual page, empty where there is none."""
        found = re.fullmatch(r"([\w.]+)\((\d)\)", self.manual)
        return f"https://man7.org/linux/man-pages/man{found[2]}/{found[1]}.{found[2]}.html" if found else ""


TERMS = {
    term.word: term
    for term in (
        Term(
            phrase("message"),
            _l(
                "One packet on a pair: a header, a payload, and the descriptors that ride along; it arrives "
                "whole or not at all."
            ),
            "sendmsg(2)",
        ),
        Term(
            phrase("housekeeping"),
            _l(
                "Messages by which the pool runs itself: %(kinds)s.",
                kinds=", ".join(kind.name for kind in KINDS if kind.housekeeping),
            ),
        ),
        Term(
            phrase("channel"),
            _l("The ordered stream of messages between two processes over one socket pair."),
            "unix(7)",
        ),
        Term(
            phrase("pair"),
            _l(
                "Two connected sockets without a name: what is written into one end is read from the other. A "
                "web process has one for "
                "each of its threads: web 1, web 2 and so on are pairs, and several have one pid."
            ),
            "socketpair(2)",
        ),
        Term(
            "SOCK_SEQPACKET",
            _l(
                "A kind of socket that keeps the bounds of each message and their order, so a descriptor "
                "stays with its message."
            ),
            "unix(7)",
        ),
        Term(
            phrase("descriptor"),
            _l(
                "A small number by which a process names something that it has open: an index into its own "
                "table in the kernel."
            ),
            "open(2)",
        ),
        Term(
            phrase("transfer"),
            _l(
                "A descriptor crossing from one process to another: the receiver gets a number of its own "
                "for the same open file description."
            ),
            "unix(7)",
        ),
        Term(
            phrase("open file description"),
            _l(
                "The kernel's entry behind a descriptor, with the offset and the status flags; several "
                "descriptors, even in several processes, can share it."
            ),
            "open(2)",
        ),
        Term("SCM_RIGHTS", _l("The type of control message that carries descriptors over a Unix socket."), "unix(7)"),
        Term(
            phrase("control message"),
            _l("Data beside the bytes of a message, such as descriptors or credentials, with a header of its own."),
            "cmsg(3)",
        ),
        Term(
            phrase("in flight"),
            _l(
                "Sent and not yet reported as received: as far as is known the kernel holds the message, and "
                "its descriptors, in the "
                "receiver's queue."
            ),
            "unix(7)",
        ),
        Term(
            "memfd",
            _l("A file that lives in memory only; once sealed, nobody can change its bytes."),
            "memfd_create(2)",
        ),
        Term(
            phrase("supervisor"),
            _l(
                "The one process that every message passes: it starts the workers, hands them jobs and "
                "writes the journal."
            ),
        ),
        Term(
            phrase("worker"),
            _l("A confined process that does the jobs; it can use only the descriptors that it is handed."),
        ),
        Term(
            phrase("recorder"),
            _l("The process that drains the journal into the database, in batches; the only one that writes history."),
        ),
        Term(
            phrase("journal"),
            _l(
                "A file to which the supervisor appends each message before it is acknowledged, so that no "
                "crash loses one."
            ),
        ),
        Term(
            "kcmp",
            _l("A system call that tells whether two descriptors, in two processes, are one open file description."),
            "kcmp(2)",
        ),
        Term(
            phrase("sandbox"),
            _l("What the kernel refuses a worker from its start: opening files, sockets, other processes."),
            "seccomp(2)",
        ),
        Term(
            "Landlock",
            _l("Lets a process give up access to the file system and the network, for itself and its children."),
            "landlock(7)",
        ),
        Term(
            "seccomp",
            _l("Lets a process give up system calls: a call that is not on the list fails or ends the process."),
            "seccomp(2)",
        ),
        Term(
            phrase("namespace"),
            _l(
                "What a process sees of one part of the kernel, such as its network: in one of its own it meets nobody "
                "else's."
            ),
            "namespaces(7)",
        ),
        Term(
            "msg_flags",
            _l("What the kernel says about a received message, such as MSG_CTRUNC when descriptors did not fit."),
            "recvmsg(2)",
        ),
        Term(
            phrase("latency"),
            _l("From just before sendmsg to when recvmsg returned, both on the machine's monotonic clock."),
        ),
        Term(phrase("observed"), _l("Seen by the supervisor itself, at its own end of the pair.")),
        Term(phrase("reported"), _l("Said by the process at the other end, in the header of its next message.")),
        Term(phrase("derived"), _l("Computed on this page from observed and reported values.")),
        Term(
            "inode",
            _l("The number of a file within its device: the same device and inode are the same file."),
            "inode(7)",
        ),
        Term(
            phrase("access mode"),
            _l("What a descriptor allows, reading, writing or both, decided when it was opened."),
            "fcntl(2)",
        ),
        Term(
            "pid",
            _l(
                "The number of a process; the kernel uses it again later, which is why each process here has "
                "a serial too."
            ),
            "getpid(2)",
        ),
        Term(
            phrase("operator"),
            _l("Somebody who may change something here: submit jobs, signal workers, set their number."),
        ),
    )
}


def mark(word: str) -> Term:
    """The term, remembered for this page so that its sentence is printed at the end."""
    term = TERMS[word]
    g.setdefault("terms", {})[word] = term
    return term


def register(app: Flask) -> None:
    app.jinja_env.globals.update(glossary=mark)
