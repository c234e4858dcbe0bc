"""The shapes of what the API gives, each declared once: they convert and document."""

from __future__ import annotations

from typing import Any

from flask import url_for
from marshmallow import INCLUDE, Schema, fields, pre_dump, validate

from pairscope.ipc.vocabulary import JOB_STATES, MESSAGE_STATES, PROOFS
from pairscope.store.models import Job, Message, Process, Transfer
from pairscope.store.told import told
from pairscope.web.api.fields import Bytes, Id, Time, about


class Part(Schema):
    """Rows in the order of their declaration."""


class ProblemShape(Part):
    """RFC 9457: what was wrong, and what was expected."""

    class Meta:
        unknown = INCLUDE

    type = fields.String(**about("Address of the kind of problem."))
    title = fields.String(**about("The kind of problem in one sentence."))
    status = fields.Integer()
    detail = fields.String(**about("What was wrong with this request, and what was expected."))


class End(Part):
    """A process at one end."""

    role = fields.String(**about("web, supervisor, worker, recorder, live, lab or tool."))
    serial = fields.Integer(**about("Counts within the role on the node, over restarts."))
    pid = fields.Integer()


def _ends(row: Message | Transfer) -> dict[str, Any]:
    return {
        side: {
            "role": getattr(row, f"{side}_role"),
            "serial": getattr(row, f"{side}_serial"),
            "pid": getattr(row, f"{side}_pid"),
        }
        for side in ("sender", "receiver")
    }


def _columns(row: Any) -> dict[str, Any]:
    shown = {column.key: getattr(row, column.key) for column in row.__table__.columns if column.key not in row.withheld}
    if row.unreadable:
        shown["unreadable"] = dict(row.unreadable)
    if row.withheld:
        shown["withheld"] = sorted(row.withheld)
    return shown


class Row(Part):
    """A row of history."""

    unreadable = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        **about("By field, why what is recorded there cannot be shown; not there: all can."),
    )
    withheld = fields.List(
        fields.String(),
        **about(
            "Fields that are left out because they are shown to operators only; not there: none is. The setting "
            "public_outputs shows them to everybody."
        ),
    )


class MessageShape(Row):
    """One message that crossed a pair."""

    id = Id()
    node = fields.Integer()
    epoch = fields.Integer(**about("Which supervisor of the node, counted."))
    change = Id(**about("Position in the journal that last touched this row."))
    job = Id(allow_none=True)
    kind = fields.String(**about("Of the vocabulary: docs/protocol.md."))
    sender = fields.Nested(End)
    receiver = fields.Nested(End)
    worker = fields.Integer(allow_none=True, **about("Serial of the worker at either end."))
    size = fields.Integer(**about("Bytes."))
    fds = fields.Integer(**about("Descriptors that crossed with it: its transfers."))
    flags = fields.Integer(**about("msg_flags as recvmsg(2) returned them."))
    sent = Time(**about("Just before sendmsg(2).", format="date-time"))
    received = Time(allow_none=True, **about("When recvmsg(2) returned; null: not, or not known.", format="date-time"))
    latency_ns = fields.Integer(attribute="latency", allow_none=True, **about("ns from sent to received."))
    state = fields.String(
        validate=validate.OneOf(MESSAGE_STATES), **about("sent: in flight. unknown: an end died in between.")
    )
    reason = fields.String()
    preview = Bytes(**about("The first bytes of the payload.", format="byte"))

    @pre_dump
    def _of_row(self, row: Message, **_: Any) -> dict[str, Any]:
        return {**_columns(row), **_ends(row)}


class TransferShape(Row):
    """One descriptor that crossed by SCM_RIGHTS."""

    id = fields.String(**about("message-position.", example="123-0"))
    message = Id()
    position = fields.Integer(**about("Place in the control message, from 0."))
    node = fields.Integer()
    epoch = fields.Integer()
    change = Id()
    job = Id(allow_none=True)
    kind = fields.String(**about("Of the message."))
    sender = fields.Nested(End)
    receiver = fields.Nested(End)
    worker = fields.Integer(allow_none=True)
    sent = Time(metadata={"format": "date-time"})
    received = Time(allow_none=True, metadata={"format": "date-time"})
    state = fields.String(validate=validate.OneOf(MESSAGE_STATES), **about("Of the message."))
    sender_fd = fields.Integer(**about("The descriptor's number at the sender; -1: the sender does not tell it."))
    receiver_fd = fields.Integer(allow_none=True, **about("Its number at the receiver; null: not, or not known."))
    object = fields.String(**about("Kind of the object behind it.", example="memfd"))
    device = Id(**about("st_dev."))
    inode = Id(**about("st_ino."))
    access = fields.String(**about("read, write or read-write."))
    flags = fields.Integer(**about("F_GETFL, fcntl(2)."))
    offset = fields.Integer(allow_none=True, **about("Of the open file description; null: it has none."))
    size = fields.Integer(**about("Bytes."))
    link = fields.String(**about("What /proc/PID/fd shows."))
    proof = fields.String(
        validate=validate.OneOf(("", *PROOFS)),
        **about("Whether kcmp(2) found both numbers to be one open file description; empty: not yet."),
    )
    proof_reason = fields.String()

    @pre_dump
    def _of_row(self, row: Transfer, **_: Any) -> dict[str, Any]:
        return {**_columns(row), **_ends(row), "id": f"{row.message}-{row.position}"}


class OutputShape(Part):
    """A file that a job made."""

    size = fields.Integer(**about("Bytes."))
    media = fields.String(**about("Media type."))
    name = fields.String(**about("Name for the download."))
    expires = Time(allow_none=True, **about("When it goes at the latest.", format="date-time"))
    gone = Time(allow_none=True, **about("When it went; null: it is there.", format="date-time"))
    gone_reason = fields.String()
    address = fields.String(**about("Where it can be downloaded."))


class JobShape(Row):
    """One job."""

    id = Id()
    node = fields.Integer(allow_none=True)
    epoch = fields.Integer(allow_none=True)
    change = Id(allow_none=True)
    kind = fields.String()
    name = fields.String(**about("Of the input, as its sender gave it."))
    size = fields.Integer(allow_none=True, **about("Bytes of the input."))
    client = fields.Nested(End, allow_none=True, **about("Who asked for it."))
    state = fields.String(
        validate=validate.OneOf(("recording", *JOB_STATES)),
        **about("recording: it is in the journal; its row does not stand yet."),
    )
    pool_state = fields.String(
        allow_none=True,
        validate=validate.OneOf(JOB_STATES),
        **about("While it is recording: the state in the pool, if the pool says so."),
    )
    worker = fields.Integer(allow_none=True)
    submitted = Time(
        allow_none=True, **about("While it is recording: as its id tells it, in milliseconds.", format="date-time")
    )
    started = Time(allow_none=True, metadata={"format": "date-time"})
    ended = Time(allow_none=True, metadata={"format": "date-time"})
    reason = fields.String(**about("Why it failed or was cancelled, in words."))
    result = fields.Dict(allow_none=True, **about("What the job found; null: nothing yet."))
    output = fields.Nested(OutputShape, allow_none=True, **about("null: none."))

    @pre_dump
    def _of_row(self, row: Job | dict[str, Any], **_: Any) -> dict[str, Any]:
        if isinstance(row, dict):
            return row
        shown = _columns(row)
        shown["client"] = {"role": row.client_role, "serial": row.client_serial, "pid": row.client_pid}
        if "result" not in row.withheld:
            shown["result"] = told(row.result) if row.result else None
        shown["pool_state"] = None
        shown["output"] = None
        unnamed = "output_name" in row.withheld
        if row.output_name or unnamed:
            shown["output"] = {
                "size": row.output,
                "media": row.output_media,
                "name": row.output_name,
                "expires": row.expires,
                "gone": row.output_gone,
                "gone_reason": row.gone_reason,
                "address": output_address(row.id),
            }
        if unnamed:  # that there is one is open, and its size
            del shown["output"]["name"]
            shown["withheld"] = ["output.name" if name == "output_name" else name for name in shown["withheld"]]
        return shown


def output_address(job: int) -> str:
    return url_for("api.output", job=str(job))


class NowShape(Part):
    """How a worker stands, as the supervisor last said."""

    state = fields.String(**about("starting, idle, busy or stopping."))
    job = fields.String(**about("In hand; empty: none."))
    kind = fields.String(**about("Of that job."))
    done = fields.Integer()
    failed = fields.Integer()
    in_flight = fields.Integer(**about("Messages sent to it and not yet received."))
    stopped = fields.Boolean(
        allow_none=True,
        **about(
            "True: a signal has stopped its process; it goes on at SIGCONT. null: the supervisor may not see that."
        ),
    )


class WorkerShape(Row):
    """One worker, living or dead."""

    serial = fields.Integer()
    node = fields.Integer()
    epoch = fields.Integer()
    change = Id()
    pid = fields.Integer()
    uid = fields.Integer()
    born = Time(metadata={"format": "date-time"})
    ready = Time(allow_none=True, metadata={"format": "date-time"})
    ended = Time(allow_none=True, **about("null: it lives.", format="date-time"))
    exit = fields.String(**about("How it ended, in words, of web, lab and tool how its pair did; empty: it lives."))
    asked = fields.Boolean(**about("True: the supervisor had asked it to end."))
    sandbox = fields.String(**about("landlock+seccomp, seccomp or none; empty: not told yet."))
    detail = fields.Dict(**about("Of the sandbox."))
    now = fields.Nested(NowShape, allow_none=True, **about("null: it is dead, or the pool is away."))

    @pre_dump
    def _of_row(self, pair: tuple[Process, Any], **_: Any) -> dict[str, Any]:
        row, now = pair
        return {**_columns(row), "detail": told(row.detail), "now": now}


class MessageWithTransfers(MessageShape):
    """One message with the descriptors that crossed with it."""

    transfers = fields.List(fields.Nested(TransferShape))

    @pre_dump
    def _of_row(self, whole: Any, **_: Any) -> dict[str, Any]:
        return {**_columns(whole["row"]), **_ends(whole["row"]), "transfers": whole["transfers"]}


class DoneShape(Part):
    """What was done."""

    done = fields.String(**about("In words."))


class ScenarioShape(Part):
    """A scenario of the gallery."""

    name = fields.String()
    number = fields.Integer(**about("From 31 on they are quirk cards."))
    title = fields.String()
    ask = fields.String(**about("What to predict before stepping."))
    notice = fields.String(**about("What to notice."))
    man = fields.String(**about("Manual pages."))
    quirk = fields.String(**about("What one would predict; empty: it is no quirk card."))
    steps = fields.Integer()
    text = fields.String()


class RunShape(Part):
    """A run of a scenario."""

    id = fields.String()
    scenario = fields.String(**about("Name in the gallery; empty: a text of somebody's own."))
    title = fields.String()
    verdict = fields.String(**about("held, failed, refused or timed out."))
    step_count = fields.Integer(**about("Steps that were made."))
    took_ns = fields.Integer(**about("ns."))
    created = Time(metadata={"format": "date-time"})
    kept = fields.Boolean(**about("True: it was shared and is kept for good."))
    job = Id(allow_none=True, **about("Its job in history; null: it was opened from a file."))
    parent = fields.String(**about("The run whose text it was made from; empty: none."))
    page = fields.String(**about("Address of its page."))


class RunWithSteps(RunShape):
    """A run with everything that it holds."""

    run = fields.Dict(**about("As docs/lab.md has it under What a run holds."))


class CheckShape(Part):
    """One thing that was looked at."""

    chapter = fields.String(**about("linux, apache, mysql, python or pool."))
    step = fields.String(**about("Of the guide; empty: of none."))
    title = fields.String()
    command = fields.String(
        **about("What a person would type here to look at the same; empty: there is nothing to look at.")
    )
    expected = fields.String()
    observed = fields.String()
    verdict = fields.String(
        **about(
            "good, recommended, critical, unknown (not to be seen, or not in time) or unused (this run does "
            "without it)."
        )
    )
    drift = fields.String(**about("How it differs, in words."))
    detail = fields.List(fields.String(), **about("More of what was observed; for operators, else empty."))


class ChecksShape(Part):
    """What the stack is really like."""

    at = Time(metadata={"format": "date-time"})
    items = fields.List(fields.Nested(CheckShape))


def items_of(shape: type[Schema]) -> type[Schema]:
    """A list that is whole."""
    return type(
        shape.__name__.removesuffix("Shape") + "Items",
        (Part,),
        {"__doc__": "All there are.", "items": fields.List(fields.Nested(shape))},
    )


def list_of(shape: type[Schema]) -> type[Schema]:
    """One page of a list of `shape`, or what changed behind a cursor."""
    return type(
        shape.__name__.removesuffix("Shape") + "List",
        (Part,),
        {
            "__doc__": "A page, newest first; with `after`, what changed since, in the order of the record.",
            "items": fields.List(fields.Nested(shape)),
            "next": fields.String(
                allow_none=True,
                **about("Goes on from here: pass it as `before`, or as `after` if `after` was given. null: the end."),
            ),
            "live": fields.String(
                **about(
                    "What is known now: pass it as `after` to be told what changes from here on, nothing "
                    "twice, nothing left out."
                )
            ),
        },
    )
