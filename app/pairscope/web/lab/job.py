"""One job of the lab, from its text to what it gave."""

from __future__ import annotations

import os

from flask_babel import gettext as _

from pairscope.ipc import memfd
from pairscope.ipc.vocabulary import LAB
from pairscope.web import reach
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated


def in_the_pool(kind: str, text: bytes, name: str, patience: float) -> tuple[int, bytes]:
    """Has a station run a text. `kind` names its memfd, `name` the job; `patience`: seconds. Gives the job and its
    output. Raises Problem where it does not end in time (it is cancelled then) or fails, PoolRefused, PoolAway."""
    fd = memfd.sealed(kind, text)
    try:
        accepted = reach.client().submit(LAB, fd, name=name, size=len(text), want="both")
    finally:
        os.close(fd)
    answer = reach.client().answer(accepted.job, patience)
    if answer is None:
        reach.client().cancel(accepted.job)
        raise Problem(
            "lab-busy",
            _(
                "The run did not end within %(seconds)d s, because others came first or the machine is busy; "
                "it was cancelled. Try again.",
                seconds=patience,
            ),
            headers={"Retry-After": "5"},
        )
    if answer.state != "done":
        raise Problem(
            "run-failed",
            _("The run did not come to its end: %(why)s.", why=translated(answer.reason)),
            job=str(accepted.job),
        )
    found, output = reach.client().fetch(accepted.job)
    try:
        return accepted.job, memfd.read_all(output, found.size)
    finally:
        os.close(output)
