"""The one schema of a run: what it keeps as it was, what it passes over, and the few members by which it is read."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask_babel import Babel

from pairscope.lab import exports, gallery
from pairscope.lab import run as schema
from pairscope.lab.run import (
    NOTHING,
    UNSET,
    Bytes,
    Failed,
    Object,
    Run,
    State,
    Step,
    decode,
    encode,
    given,
    heard,
    known,
    piece_of,
)  # fmt: skip
from pairscope.web.lab.drawing import moment, timeline
from pairscope.web.lab.reading import Reading
from tests.runs import plain, typed
from tests.test_lab_gallery import once

pytestmark = pytest.mark.process
PACKAGE = Path(__file__).resolve().parent.parent / "app/pairscope"
READERS = [
    *PACKAGE.glob("lab/*.py"),
    *PACKAGE.glob("lab/run/*.py"),
    *PACKAGE.glob("lab/calls/*.py"),
    *PACKAGE.glob("lab/exports/*.py"),
    *PACKAGE.glob("web/lab/**/*.py"),
    *PACKAGE.glob("web/pages/*.py"),
    PACKAGE / "web/api/lab.py",
    PACKAGE / "store/runs.py",
    PACKAGE / "cli/lab.py",
]


@pytest.fixture
def words() -> Iterator[None]:
    """gettext, as a page has it."""
    app = Flask(__name__)
    Babel(app)
    with app.test_request_context():
        yield


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """A run's JSON, as a runner has written it."""
    return once("a-file-handed-over")


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_but_a_run_and_the_stage_looks_where_a_state_is_kept(path: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    lines = [node.lineno for node in nodes if node.attr == "after"]
    assert len(lines) == (1 if path.name == "run.py" else 0), f"{path} reads .after in line {lines}: ask run.state(n)"


def test_steps_are_counted_from_one_and_nothing_was_held_before_the_first(told: dict[str, Any]) -> None:
    run = typed(told)
    assert run.state(0) is NOTHING and not NOTHING.processes and not NOTHING.objects
    assert plain(run.state(3)) == told["steps"][2]["after"]
    for number in (-1, len(run.steps) + 1):
        with pytest.raises(IndexError):
            run.state(number)
    pids = {process["pid"]: process["name"] for process in told["steps"][-1]["after"]["processes"]}
    assert run.processes() == pids


def early(told: dict[str, Any]) -> dict[str, Any]:
    """The run as an early version would have told it: of each object, step and run only what has always been there."""

    def always(part: type[msgspec.Struct], value: dict[str, Any]) -> dict[str, Any]:
        names = {field.encode_name for field in msgspec.structs.fields(part) if field.default is not UNSET}
        return {key: inner for key, inner in value.items() if key in names}

    steps = [always(Step, step) for step in told["steps"]]
    for step in steps:
        if step["after"]:
            objects = [always(Object, item) for item in step["after"]["objects"]]
            step["after"] = step["after"] | {"objects": objects}
    return always(Run, told) | {"steps": steps}


@pytest.mark.parametrize("name", gallery.names())
def test_a_run_comes_back_as_the_same_json_with_what_is_null_and_without_what_is_not_there(name: str) -> None:
    for told in (once(name), early(once(name))):
        assert json.loads(encode(typed(told))) == told
        assert exports.json(typed(told)) == msgspec.json.encode(told, order="deterministic") + b"\n"


@pytest.mark.parametrize("where", ["", "steps.8", "steps.8.result.message.parts.0", "steps.8.after.objects.0"])
def test_a_member_of_a_later_version_is_passed_over_in_a_stored_run_and_refused_in_a_file(
    told: dict[str, Any], where: str
) -> None:
    changed = json.loads(json.dumps(told))
    holder = changed
    for word in filter(None, where.split(".")):
        holder = holder[int(word) if word.isdigit() else word]
    holder["shiny"] = {"so": ["much"]}
    data = json.dumps(changed).encode()
    assert plain(decode(data)) == told
    with pytest.raises(exports.NoRun, match="unknown field `shiny` - at `\\$"):
        exports.load(data)


def test_what_two_steps_may_share_cannot_be_changed(told: dict[str, Any]) -> None:
    run = typed(told)
    state = run.state(9)
    for part, name in ((run, "text"), (state, "objects"), (state.processes[0], "pid"), (run.steps[0].expected, "keys")):
        if part is not None:
            with pytest.raises(AttributeError, match="immutable"):
                setattr(part, name, None)
    parts = {part for part in vars(schema).values() if isinstance(part, type) and issubclass(part, msgspec.Struct)}
    filled = {part.__name__ for part in parts - {msgspec.Struct} if not part.__struct_config__.frozen}
    assert filled == {"Step", "Result", "Completed", "Object", "Failed"}


def test_what_a_runner_writes_is_a_run_or_why_there_is_none(told: dict[str, Any]) -> None:
    assert heard(json.dumps(told).encode()) == typed(told)
    assert heard(b'{"error": "no", "line": 3, "column": 2}\n') == Failed("no", 3, 2)
    assert heard(b'{"error": "no"}') == Failed("no", 1, 1)
    assert [heard(data) for data in (b"", b"{", b"{}", b"[]", json.dumps(told).encode()[:-40])] == [None] * 5


def test_a_value_that_is_not_there_and_one_that_is_not_known_are_told_apart() -> None:
    item = Object(1, "socket", "", [], {}, peer=None)
    assert item.peer is None and item.size is UNSET and not item.size
    assert known(item.peer) is known(item.size) is None and known(0) == 0
    assert json.loads(msgspec.json.encode(item)) == {
        "inode": 1, "kind": "socket", "link": "", "descriptions": [], "how": {}, "peer": None
    }  # fmt: skip
    assert given([3], "made") == [3]
    with pytest.raises(ValueError, match="there is no made"):
        given(UNSET, "made")


class Recording:
    """What another format may be: steps that load when they are asked for, and states that are kept elsewhere."""

    def __init__(self, run: Run) -> None:
        self._steps = [msgspec.json.encode(msgspec.structs.replace(step, after=None)) for step in run.steps]
        self._states = [msgspec.json.encode(run.state(number)) for number in range(len(run.steps) + 1)]
        self._names = run.processes()
        self.text, self.about, self.verdict, self.reason = run.text, run.about, run.verdict, run.reason
        self.asked: list[int] = []

    @property
    def steps(self) -> Sequence[Step]:
        return [msgspec.json.decode(step, type=Step) for step in self._steps]

    def state(self, number: int) -> State:
        self.asked.append(number)
        return msgspec.json.decode(self._states[number], type=State)

    def processes(self) -> dict[int, str]:
        return self._names


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("name", ["parent-and-child", "in-flight", "a-connection"])
def test_who_reads_a_run_needs_no_more_than_its_few_members(name: str) -> None:
    run = typed(once(name))
    other: Any = Recording(run)
    assert exports.outcome_lines(other) == exports.outcome_lines(run)
    assert exports.transcript(other) == exports.transcript(run)
    first, second = Reading(run), Reading(other)
    for number in range(1, first.count + 1):
        assert second.outcome(number) == first.outcome(number)
        assert second.changes(number) == first.changes(number)
        assert second.released(number) == first.released(number)
        assert moment.draw(second, number) == moment.draw(first, number)
    address = "/lab/runs/x?step={}".format
    assert timeline.timeline(second, 1, address) == timeline.timeline(first, 1, address)


@pytest.mark.usefixtures("words")
def test_to_read_what_one_step_gave_no_state_of_another_is_asked_for() -> None:
    other: Any = Recording(typed(once("parent-and-child")))
    reading = Reading(other)
    other.asked.clear()
    assert reading.outcome(5) and set(other.asked) == {5}
    assert reading.facts(5) and reading.facts(5) and other.asked.count(5) == 2


def test_a_steps_arguments_are_told_apart_by_order_and_by_name(told: dict[str, Any]) -> None:
    text: Bytes = {"data": "YWI=", "times": 3}
    changed = json.loads(json.dumps(told))
    changed["steps"][0]["arguments"] = [3, "NULL", text, [1, text], {"iov": [text, 4]}, {"flags": 0}]
    step = typed(changed).steps[0]
    assert step.positional == [3, "NULL", text, [1, text]] and step.named == {"iov": [text, 4], "flags": 0}
    assert piece_of(text) == (b"ab", 3)


@pytest.mark.parametrize("argument", [1.5, True, None, [[1]], {"a": {"b": []}}, {"x" * 65: 1}, -(1 << 63) - 1])
def test_an_argument_that_no_call_can_have_is_no_run(told: dict[str, Any], argument: Any) -> None:
    changed = json.loads(json.dumps(told))
    changed["steps"][0]["arguments"] = [argument]
    with pytest.raises(msgspec.ValidationError, match=r"steps\[0\]\.arguments\[0\]"):
        typed(changed)
