"""The scenario language: what is read is what was written, and every error stands at its place."""

from __future__ import annotations

import pathlib
import random
import re

import pytest

from app.lab import calls, constants
from app.lab.language import BYTES_MAX, STEPS_MAX, parse, quoted, write
from app.lab.model import Constants, Name, Number, ScenarioError, Text

DOCUMENT = (pathlib.Path(__file__).parents[1] / "docs/lab.md").read_text()
PIPE = "p: pipe2 0 -> a b\n"


def documented() -> str:
    """The example of docs/lab.md."""
    example = DOCUMENT.split("## The language")[1].split("\n- ")[0]
    return "\n".join(line[4:] for line in example.splitlines())


def test_the_documents_example_is_a_scenario_that_says_what_it_is():
    scenario = parse(documented())
    assert scenario.said("title") == "Parent writes, child reads"
    assert [step.call for step in scenario.steps] == ["socketpair", "fork", "close", "close", "write", "read", "read", "exit", "read"]
    assert scenario.steps[0].binds == ("sv0", "sv1")
    assert scenario.steps[4].arguments == (Name("sv0"), Text(b"SOCKET PAIR TEST."))
    assert scenario.steps[4].expectation.first == Number(17, "17")
    assert scenario.steps[6].expectation.first == "blocks"
    assert scenario.steps[8].returned


def test_the_pending_return_may_be_told_in_more_words():
    short, long = (PIPE + f"p: ({words} returns)" for words in ("read", "the pending read"))
    assert parse(short).steps[1:] == parse(long).steps[1:]


@pytest.mark.parametrize(
    "text, value",
    [("128", 128), ("0x10", 16), ("-1", -1), ("64K", 65536), ("1M", 1 << 20), ("1K", 1024), ("0x1K", 1024)],
)
def test_a_number_keeps_its_value_and_how_it_was_written(text, value):
    assert parse(PIPE + f"p: read a {text}").steps[1].arguments[1] == Number(value, text)


@pytest.mark.parametrize("data", [b"", b"it's", b'"\\', b"\0\n\t\r\a\b\f\v", bytes(range(256)), "größer 漢字".encode(), b"\xff\xfeA"])
def test_every_byte_survives_being_written_and_read(data):
    assert parse(PIPE + f"p: write b {quoted(data)}").steps[1].arguments[1].bytes == data


def test_texts_repeat_and_may_be_hexadecimal():
    step = parse(PIPE + 'p: sendmsg b iov=["ab" * 3, x"00 ff"]').steps[1]
    assert [value.bytes for value in step.named[0][1].values] == [b"ababab", b"\0\xff"]


def test_a_constant_has_the_number_of_this_kernel():
    assert constants.number(Constants(("MSG_PEEK", "MSG_DONTWAIT"))) == 0x42
    assert constants.decode("MSG_", 0x42) == "MSG_PEEK|MSG_DONTWAIT"
    assert constants.errno_name(11) == "EAGAIN"


def test_a_child_inherits_names_and_keeps_its_own():
    text = PIPE + "p: fork -> c\nc: pipe2 0 -> d e\nc: close a\np: close a\n"
    assert len(parse(text).steps) == 5
    with pytest.raises(ScenarioError, match="^6:10: d; expected a descriptor of p: a, b$"):
        parse(text + "p: close d")


def test_threads_share_names():
    assert parse(PIPE + "p: thread -> t\nt: dup a -> c\np: close c").steps[-1].arguments == (Name("c"),)


MALFORMED = [
    ("", 1, 1, "no step", "at least one"),
    ("@titel x", 1, 1, "@titel", "@title"),
    ("@title", 1, 1, "@title without a text", "a sentence"),
    ("@title a\n@title b", 2, 1, "a second @title", "at most one"),
    ("p", 1, 2, "the end of the line", ":"),
    ("p:", 1, 3, "the end of the line", "a system call"),
    ("P: exit 0", 1, 1, "P", "the name of a process"),
    ("averyveryverylongname: exit 0", 1, 1, "averyveryverylongname", "at most 16"),
    ("p: raed a 1", 1, 4, "raed", "such as read"),
    ("p: pipe2 0 -> a", 1, 16, "the end of the line", "two names"),
    ("p: pipe2 0 -> a a", 1, 17, "a", "another name"),
    ("p: fork", 1, 8, "the end of the line", "-> and a name"),
    ("p: exit 0 -> a", 1, 11, "->", "no name"),
    ("p: exit", 1, 8, "the end of the line", "exit status"),
    ("p: exit 0 1", 1, 11, "1", "exit status"),
    ('p: exit "x"', 1, 9, '"x"', "a number or constants"),
    ("p: pipe2 O_CLOSEXEC -> a b", 1, 10, "O_CLOSEXEC", "O_CLOEXEC"),
    ("p: pipe2 O_CLOEXEC| -> a b", 1, 21, "->", "a constant"),
    ("p: close a", 1, 10, "a", "named none yet"),
    (PIPE + "q: close a", 2, 1, "q", "processes so far: p"),
    (PIPE + "p: kill q SIGTERM", 2, 9, "q", "a process: p"),
    (PIPE + 'p: write b "x', 2, 12, "a quote that is not closed", "double quotes"),
    (PIPE + r'p: write b "a\q"', 2, 14, r"\q", r"\n"),
    (PIPE + r'p: write b "\x0g"', 2, 13, r"\x0g", "two hexadecimal digits"),
    (PIPE + 'p: write b "\x07"', 2, 13, "the character", "printable"),
    (PIPE + 'p: write b x"0"', 2, 12, 'x"0"', "pairs"),
    (PIPE + 'p: write b "x" * 0', 2, 18, "0", "from 1"),
    (PIPE + f'p: write b "xx" * {BYTES_MAX}', 2, 12, f"{2 * BYTES_MAX} bytes", f"at most {BYTES_MAX}"),
    (PIPE + "p: read a 99999999999999999999", 2, 11, "99999999999999999999", "64 bits"),
    (PIPE + "p: read a 12x", 2, 11, "the character '1'", "a number"),
    (PIPE + 'p: sendmsg b iov=["x"', 2, 22, "the end of the line", "] at the end"),
    (PIPE + 'p: sendmsg b iov=[["x"]]', 2, 19, "[", "a number"),
    (PIPE + 'p: sendmsg b iov=["x"] fds=[z]', 2, 28, "z", "a descriptor of p: a, b"),
    (PIPE + 'p: sendmsg b fds=[a]', 2, 21, "the end of the line", "iov="),
    (PIPE + 'p: sendmsg b iov=["x"] iov=["y"]', 2, 24, "iov", "once"),
    (PIPE + 'p: sendmsg b iof=["x"]', 2, 14, "iof", "iov"),
    (PIPE + "p: close a b=1", 2, 12, "b", "close has none"),
    (PIPE + "p: read a 1 =>", 2, 15, "the end of the line", "what is expected"),
    (PIPE + "p: read a 1 => MSG_PEEK", 2, 13, "MSG_PEEK", "errno"),
    (PIPE + "p: read a 1 => soon", 2, 16, "soon", "blocks, ok"),
    (PIPE + "p: (close returns)", 2, 5, "close, which never blocks", "read"),
    (PIPE + "p: read a 1 ; close a", 2, 13, "the character ';'", "a name"),
    (PIPE + "p: fork -> p", 2, 1, "a second process p", "another name"),
    ("p: pipe2 0 -> a b\n" * (STEPS_MAX + 1), STEPS_MAX + 1, 1, f"step {STEPS_MAX + 1}", "at most"),
    ("".join(f"p: fork -> c{i}\n" for i in range(8)), 8, 1, "process 9", "at most 8"),
]


@pytest.mark.parametrize("text, line, column, found, expected", MALFORMED)
def test_an_error_says_where_it_is_and_what_was_found_and_expected(text, line, column, found, expected):
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert (caught.value.place.line, caught.value.place.column) == (line, column), str(caught.value)
    assert found in caught.value.found
    assert expected in caught.value.expected


def test_the_canonical_form_reads_as_the_same_scenario_and_is_its_own_canonical_form():
    for text in (documented(), PIPE + 'p:   sendmsg b iov=["a" ,"b"*2 x"0a"] flags=MSG_EOR|MSG_NOSIGNAL=>3 # why'):
        scenario = parse(text)
        canonical = write(scenario)
        again = parse(canonical)
        assert write(again) == canonical
        assert again.about == scenario.about
        for one, other in zip(scenario.steps, again.steps, strict=True):
            assert (one.actor, one.call, one.arguments, one.named, one.binds) == (other.actor, other.call, other.arguments, other.named, other.binds)
            assert (one.expectation is None) == (other.expectation is None)


def test_ten_thousand_malformed_texts_give_a_scenario_or_an_error_that_lies_within_the_text():
    rng = random.Random(2718)
    source = documented()
    pieces = re.findall(r"\w+|\W", source) + ["=>", "->", "[", "]", '"', "\\", "|", "\0", "é", "\u2028", "\x0c", "-", "0x", "9" * 5000, "@", "#"]
    for _ in range(10_000):
        text = source
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(pieces) + text[at + rng.choice((0, 0, 1, 3, 12)) :]
        lines = text.split("\n")
        try:
            scenario = parse(text)
        except ScenarioError as error:
            assert 1 <= error.place.line <= len(lines)
            assert 1 <= error.place.column <= len(lines[error.place.line - 1]) + 1
            assert error.found and error.expected
        else:
            assert parse(write(scenario)).about == scenario.about


def test_the_documents_table_of_calls_is_the_table():
    begin, end = "<!-- calls -->\n", "<!-- /calls -->"
    assert DOCUMENT.split(begin)[1].split(end)[0] == calls.table()
