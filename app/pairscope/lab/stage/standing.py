"""Where the actors of a run stand: in their blocked calls, at their control sockets, or stopped. Asked of the kernel,
never of a clock."""

from __future__ import annotations

from pairscope.lab.calls import CALLS, MACHINE
from pairscope.lab.probes import tasks
from pairscope.lab.probes.tasks import Sample
from pairscope.lab.stage.cast import Actor

_RECEIVING = CALLS["recvmsg"].kernel[MACHINE].number


def where(actor: Actor) -> Sample:
    """Where it is now."""
    return tasks.sample(actor.process.pid, actor.tid)


def stopped(actor: Actor) -> bool:
    """Whether a signal has stopped it."""
    return where(actor).stopped


def stands(actor: Actor, sample: Sample | None = None) -> bool:
    """Whether it sleeps where it should: in its call, or at its control socket. `sample`: where it is, if that was
    asked already."""
    sample = sample or where(actor)
    pending = actor.pending
    return _in_call(sample, pending.step.call, pending.first) if pending else _at_control(sample, actor.hidden)


def _in_call(sample: Sample, call: str, first: int | None) -> bool:
    """Whether the task sleeps in `call`, with `first` as its first argument (None: any)."""
    made = CALLS[call]
    if sample.state != "S" or not made.blocks or sample.number != made.kernel[MACHINE].number:
        return False
    return first is None or sample.arguments[0] & 0xFFFFFFFF == first & 0xFFFFFFFF


def _at_control(sample: Sample, hidden: int) -> bool:
    """Whether the task sleeps at its control socket, which has this number in its process."""
    return sample.state == "S" and sample.number == _RECEIVING and sample.arguments[0] == hidden
