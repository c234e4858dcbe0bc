"""A run as a file: JSON, and back. What comes back was in a stranger's hands, and is believed in nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import msgspec

from pairscope.lab.exports.lines import result_lines
from pairscope.lab.exports.transcript import transcript
from pairscope.lab.language import TEXT_MAX, parse
from pairscope.lab.model import Scenario, ScenarioError

LOAD_MAX = 16 << 20
"""Bytes of a file that load reads."""


class NoRun(ValueError):
    """The bytes are no run. str() says what is wrong, and where."""


def json(run: dict[str, Any]) -> bytes:
    """The run itself: the same bytes for the same run."""
    return msgspec.json.encode(run, order="deterministic") + b"\n"


def load(data: bytes) -> dict[str, Any]:
    """The run that json() wrote. Raises NoRun for anything that is none: too large, of another shape, or not of one
    piece with its scenario."""
    if len(data) > LOAD_MAX:
        raise NoRun(f"it is larger than {LOAD_MAX} bytes")
    try:
        _DECODER.decode(data)
        run: dict[str, Any] = msgspec.json.decode(data)
    except msgspec.DecodeError as error:  # a ValidationError says at which member
        raise NoRun(f"it is not a run of format 1: {error}") from None
    except (RecursionError, UnicodeDecodeError) as error:
        raise NoRun(f"it is not a run of format 1: {type(error).__name__}") from None
    _agree(run)
    try:
        result_lines(run)
        transcript(run)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise NoRun(f"its steps hold less than their calls give: {type(error).__name__}: {error}") from None
    return run


def _agree(run: dict[str, Any]) -> None:
    """Whether the steps are those of the scenario, and every piece of data is one."""
    try:
        scenario = parse(run["text"])
    except ScenarioError as error:
        raise NoRun(f"its text is no scenario: {error}") from None
    if [list(pair) for pair in scenario.about] != run["about"]:
        raise NoRun("about is not what its text says")
    if len(run["steps"]) > len(scenario.steps):
        raise NoRun(f"it has {len(run['steps'])} steps, and its scenario {len(scenario.steps)}")
    _plain("sandbox", run.get("sandbox"), 0)
    for number, step in enumerate(run["steps"], 1):
        _agree_step(f"step {number}", step, scenario, number - 1)


def _agree_step(where: str, step: dict[str, Any], scenario: Scenario, index: int) -> None:
    own = scenario.steps[index]
    if (step["actor"], step["call"], step["returned"]) != (own.actor, own.call, own.returned):
        raise NoRun(f"{where} is not that of its scenario")
    for argument in step["arguments"]:
        _argument(where, argument, 0)
    for result in (step["result"], *step["completed"].values()):
        if result is not None:
            _data(where, result["data"], result.get("option"), *_pieces(result["message"]))
    for found in (step["after"] or {"objects": []})["objects"]:
        _data(where, *(piece["data"] for key in ("contents", "ahead") for piece in found.get(key) or ()))
    for result in step["completed"].values():
        if result["of"] > index:
            raise NoRun(f"{where}: completed is a call of step {result['of'] + 1}")


def _pieces(message: dict[str, Any] | None) -> list[str]:
    return [] if message is None else [message["control"], *(part["data"] for part in message["parts"])]


def _argument(where: str, value: Any, depth: int) -> None:
    """An argument as made: a number, a word, a text by its piece, a list of these, or one of them under its name."""
    if isinstance(value, dict) and "data" in value:
        if set(value) != {"data", "times"} or type(value["times"]) is not int or not isinstance(value["data"], str):
            raise NoRun(f"{where}: an argument is no text")
        _data(where, value["data"])
    elif isinstance(value, (list, dict)) and depth < 2:
        for inner in value.values() if isinstance(value, dict) else value:
            _argument(where, inner, depth + 1)
    elif type(value) is not int and not isinstance(value, str):
        raise NoRun(f"{where}: an argument is a {type(value).__name__}")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise NoRun(f"{where}: an argument is no number of 64 bits")


def _plain(where: str, value: Any, depth: int) -> None:
    """What a page may show as it is: words and numbers, and lists and members of these."""
    if isinstance(value, (list, dict)) and depth < 4 and len(value) <= 256:
        for inner in value.values() if isinstance(value, dict) else value:
            _plain(where, inner, depth + 1)
    elif (
        isinstance(value, (list, dict, float))
        or (isinstance(value, str) and len(value) > 4096)
        or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 64)
    ):
        raise NoRun(f"{where} holds what is neither a word nor a number")


def _data(where: str, *texts: str | None) -> None:
    for text in texts:
        try:
            base64.b64decode(text or "", validate=True)
        except binascii.Error as error:
            raise NoRun(f"{where}: data is not base64: {error}") from None


# ---- the shape


_Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Wide = Annotated[int, msgspec.Meta(ge=-(1 << 63))]
"""A signed number of 64 bits, or an unsigned one."""
_Inode = Annotated[int, msgspec.Meta(ge=0)]
_Short = Annotated[str, msgspec.Meta(max_length=4096)]
_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Many = Annotated[list[_Int], msgspec.Meta(max_length=4096)]


class _Shape(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Part(_Shape):
    at: _Int
    cmsg_len: _Inode
    level: _Word
    type: _Word
    CMSG_LEN: _Int
    CMSG_SPACE: _Int
    padding: _Int
    data: str
    fds: _Many | None = None
    creds: Annotated[list[_Int], msgspec.Meta(min_length=3, max_length=3)] | None = None


class _Message(_Shape):
    iov: _Many
    flags: _Short
    msg_flags: _Int
    controllen: _Int
    control: str
    parts: list[_Part]
    room: _Int = 0


class _Result(_Shape):
    """docs/lab.md, "What a run holds"."""

    value: _Int | None
    errno: _Word | None
    data: str | None
    blocked: bool
    duration_ns: _Int
    message: _Message | None
    bytes: _Int | msgspec.UnsetType = msgspec.UNSET
    made: _Many | msgspec.UnsetType = msgspec.UNSET
    fds: _Many | msgspec.UnsetType = msgspec.UNSET
    creds: Annotated[list[_Int], msgspec.Meta(min_length=3, max_length=3)] | msgspec.UnsetType | None = msgspec.UNSET
    msg_flags: _Int | msgspec.UnsetType = msgspec.UNSET
    revents: _Many | msgspec.UnsetType = msgspec.UNSET
    before: _Word | msgspec.UnsetType = msgspec.UNSET
    port: _Int | msgspec.UnsetType = msgspec.UNSET
    option: str | msgspec.UnsetType = msgspec.UNSET
    held: _Wide | _Many | msgspec.UnsetType = msgspec.UNSET
    status: _Int | msgspec.UnsetType = msgspec.UNSET
    killed: _Int | msgspec.UnsetType = msgspec.UNSET
    stopped: _Int | msgspec.UnsetType = msgspec.UNSET
    continued: _Int | msgspec.UnsetType = msgspec.UNSET
    ended: _Short | msgspec.UnsetType = msgspec.UNSET
    fault: _Short | msgspec.UnsetType = msgspec.UNSET
    lost: list[_Carried] | msgspec.UnsetType = msgspec.UNSET


class _Completed(_Result, kw_only=True):
    of: Annotated[int, msgspec.Meta(ge=0, le=1000)]


class _Expected(_Shape):
    first: str | None
    keys: dict[_Word, str]


class _Blocked(_Shape):
    call: _Word
    syscall: _Int
    arguments: list[_Word]
    wchan: _Short
    state: _Word


class _Task(_Shape):
    name: _Word
    tid: _Int
    state: _Word
    blocked: _Blocked | msgspec.UnsetType = msgspec.UNSET


class _Exit(_Shape):
    status: _Int | None
    killed: _Int | None


class _Descriptor(_Shape):
    number: _Int
    names: list[_Word]
    object: _Short
    inode: _Inode
    access: _Word
    cloexec: bool
    flags: _Short
    offset: _Int
    description: _Int


class _Signals(_Shape):
    caught: Annotated[list[_Word], msgspec.Meta(max_length=64)]
    ignored: Annotated[list[_Word], msgspec.Meta(max_length=64)]
    pending: Annotated[list[_Word], msgspec.Meta(max_length=64)]


class _Process(_Shape):
    name: _Word
    pid: _Int
    parent: _Word | None
    descriptors: list[_Descriptor]
    how: dict[_Word, _Word]
    state: _Word
    threads: list[_Task] | msgspec.UnsetType = msgspec.UNSET
    blocked: _Blocked | msgspec.UnsetType | None = msgspec.UNSET
    exit: _Exit | msgspec.UnsetType = msgspec.UNSET
    signals: _Signals | msgspec.UnsetType = msgspec.UNSET
    handled: dict[_Word, _Int] | msgspec.UnsetType = msgspec.UNSET


class _Carried(_Shape):
    """A descriptor in flight."""

    description: _Int | None
    inode: _Inode | None
    kind: _Short | None
    sender: _Word | None
    number: _Int | None


class _Piece(_Shape):
    bytes: _Int
    data: str
    carried: list[_Carried | None] | msgspec.UnsetType | None = msgspec.UNSET
    oob: bool | msgspec.UnsetType = msgspec.UNSET


class _Ahead(_Piece, rename={"source": "from"}, kw_only=True):
    source: _Inode


class _Credentials(_Shape):
    pid: _Int
    uid: _Int
    gid: _Int
    process: _Word | None = None


class _Object(_Shape):
    inode: _Inode
    kind: _Short
    link: _Short
    descriptions: _Many
    how: dict[_Word, _Word]
    held: bool | msgspec.UnsetType = msgspec.UNSET
    flies_in: Annotated[list[_Inode], msgspec.Meta(max_length=4096)] | msgspec.UnsetType = msgspec.UNSET
    ahead: Annotated[list[_Ahead], msgspec.Meta(max_length=4096)] | msgspec.UnsetType = msgspec.UNSET
    used_by: Annotated[list[_Word], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    family: _Word | msgspec.UnsetType = msgspec.UNSET
    type: _Word | msgspec.UnsetType = msgspec.UNSET
    listens: bool | msgspec.UnsetType = msgspec.UNSET
    peer: _Inode | msgspec.UnsetType | None = msgspec.UNSET
    peer_held: bool | msgspec.UnsetType | None = msgspec.UNSET
    in_flight: _Int | msgspec.UnsetType | None = msgspec.UNSET
    queued: _Int | msgspec.UnsetType | None = msgspec.UNSET
    contents: list[_Piece] | msgspec.UnsetType | None = msgspec.UNSET
    borders: bool | msgspec.UnsetType = msgspec.UNSET
    error: bool | msgspec.UnsetType = msgspec.UNSET
    options: dict[_Word, _Int | _Many] | msgspec.UnsetType = msgspec.UNSET
    crc32: _Inode | msgspec.UnsetType = msgspec.UNSET
    why: _Short | msgspec.UnsetType = msgspec.UNSET
    size: _Int | msgspec.UnsetType = msgspec.UNSET
    seals: _Short | msgspec.UnsetType = msgspec.UNSET
    capacity: _Int | msgspec.UnsetType = msgspec.UNSET
    count: _Inode | msgspec.UnsetType = msgspec.UNSET
    process: _Int | msgspec.UnsetType = msgspec.UNSET
    address: _Short | msgspec.UnsetType | None = msgspec.UNSET
    peer_address: _Short | msgspec.UnsetType | None = msgspec.UNSET
    credentials: _Credentials | msgspec.UnsetType | None = msgspec.UNSET
    shut: list[_Word] | msgspec.UnsetType | None = msgspec.UNSET
    waiting: _Int | msgspec.UnsetType | None = msgspec.UNSET
    backlog: _Int | msgspec.UnsetType | None = msgspec.UNSET
    waiting_from: _Many | msgspec.UnsetType | None = msgspec.UNSET
    flying: list[_Int | None] | msgspec.UnsetType | None = msgspec.UNSET
    carried: list[_Carried | None] | msgspec.UnsetType | None = msgspec.UNSET


class _After(_Shape):
    processes: Annotated[list[_Process], msgspec.Meta(max_length=16)]
    objects: Annotated[list[_Object], msgspec.Meta(max_length=4096)]


class _Open(_Shape):
    """A way in which a step is open."""

    kind: _Word
    who: Annotated[list[_Word], msgspec.Meta(max_length=16)]
    what: Annotated[list[_Inode], msgspec.Meta(max_length=4096)]


class _Step(_Shape):
    line: _Int
    actor: _Word
    call: _Word
    returned: bool
    arguments: list[Any]
    result: _Result | None
    completed: dict[_Word, _Completed]
    expected: _Expected | None
    verdict: Literal["held", "failed", "none"]
    reason: str
    after: _After | None
    open: Annotated[list[_Open], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET


class _Run(_Shape, kw_only=True):
    format: Literal[1]
    text: Annotated[str, msgspec.Meta(max_length=2 * TEXT_MAX)]
    about: list[Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]]
    verdict: Literal["held", "failed", "refused", "timed out"]
    reason: str
    kernel: _Short
    machine: _Word
    started: float
    took_ns: _Int
    sandbox: dict[_Word, Any] | msgspec.UnsetType = msgspec.UNSET
    steps: Annotated[list[_Step], msgspec.Meta(max_length=100)]


_DECODER = msgspec.json.Decoder(_Run)
