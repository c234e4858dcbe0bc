"""Where the actors of a run stand: in their blocked calls, at their control sockets, or stopped. Asked of the kernel,
never of a clock."""

from __future__ import annotations

from collections.abc import Iterable

from pairscope.lab.calls import CALLS, MACHINE
from pairscope.lab.probes import tasks
from pairscope.lab.probes.tasks import Sample
from pairscope.lab.reasons import Reason
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


def unsettled(actors: Iterable[Actor]) -> tuple[Actor, Sample] | None:
    """The first of them that still runs, and where it is; None: there is none."""
    for actor in actors:
        if actor.ended:
            continue
        sample = where(actor)
        if not sample.stopped and not stands(actor, sample):
            return actor, sample
    return None


def blocked(actors: Iterable[Actor]) -> str:
    """Who is in a call that does not return, in words; empty: nobody."""
    return ", ".join(
        (Reason.BLOCKED_AND_STOPPED if stopped(actor) else Reason.BLOCKED).say(
            who=actor.name, call=actor.pending.step.call
        )
        for actor in actors
        if actor.pending and not actor.ended
    )


def deadlocked(actors: Iterable[Actor]) -> bool:
    """Whether nobody who lives can take a step: then nothing could release those who are blocked."""
    living = [actor for actor in actors if not actor.ended]
    return any(actor.pending for actor in living) and all(actor.pending or stopped(actor) for actor in living)


def foreseen(actors: Iterable[Actor]) -> bool:
    """Whether the scenario expects each call that is blocked now to block."""
    expectations = [actor.pending.step.expectation for actor in actors if actor.pending and not actor.ended]
    return all(expectation is not None and expectation.first == "blocks" for expectation in expectations)


def _in_call(sample: Sample, call: str, first: int | None) -> bool:
    """Whether the task sleeps in `call`, with `first` as its first argument (None: any)."""
    made = CALLS[call]
    if sample.state != "S" or not made.blocks or sample.number != made.kernel[MACHINE].number:
        return False
    return first is None or sample.arguments[0] & 0xFFFFFFFF == first & 0xFFFFFFFF


def _at_control(sample: Sample, hidden: int) -> bool:
    """Whether the task sleeps at its control socket, which has this number in its process."""
    return sample.state == "S" and sample.number == _RECEIVING and sample.arguments[0] == hidden
