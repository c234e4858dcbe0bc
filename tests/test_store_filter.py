"""The filter's language: what it takes, and what it says of what it cannot take."""

from __future__ import annotations

import re
import time

import pytest
from sqlalchemy.dialects import mysql

from pairscope.ipc.identity import time_of
from pairscope.ipc.vocabulary import JOB_STATES, MESSAGE_STATES, PROOFS
from pairscope.store.filter import FIELDS, TEXT_EXPLANATION, FilterError, parse
from pairscope.web.shell.face import sandbox_state
from pairscope.web.words import state_of

A_JOB = 123456789012250048


def sql(text: str, table: str = "messages") -> str:
    made = [
        str(condition.compile(dialect=mysql.dialect(), compile_kwargs={"literal_binds": True}))
        for condition in parse(text, table).conditions
    ]
    return " AND ".join(re.sub(r"^coalesce\((.*), false\)$", r"\1", condition) for condition in made)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("kind:result", "messages.kind = 'result'"),
        ("KIND:Result", "messages.kind = 'result'"),
        ("kind:task,result", "messages.kind = 'task' OR messages.kind = 'result'"),
        ("fds:>0 size:>=4096", "messages.fds > 0 AND messages.size >= 4096"),
        ("size:<1.5MiB", "messages.size < 1572864"),
        ("size:2kb,4KiB", "messages.size = 2000 OR messages.size = 4096"),
        ("latency:>5ms", "messages.latency > 5000000"),
        ("latency:<=1.5us", "messages.latency <= 1500"),
        ("-worker:2", "coalesce(messages.worker = 2, false) = 0"),
        ("from:worker", "messages.sender_role = 'worker'"),
        ("photo.jpg", "instr(messages.preview, 'photo.jpg') > 0 OR instr(lower(messages.reason), 'photo.jpg') > 0"),
        ('"a:b \\"c\\""', "instr(messages.preview, 'a:b \"c\"') > 0 OR instr(lower(messages.reason), 'a:b \"c\"') > 0"),
    ],
)
def test_what_a_filter_means(text: str, expected: str) -> None:
    assert sql(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("knd:result", 0, "messages have no field 'knd'; expected one of kind, worker,"),
        ("fds:>0 http://x", 7, "have no field 'http'.*put text that has a colon in \"quotes\""),
        ("kind:reslt", 5, "'reslt' is not known here; expected one of hello, submit,"),
        ("kind:task,reslt", 10, "'reslt' is not known here"),
        ("worker:two", 7, "'two' is not a whole number"),
        ("worker:1.5", 7, "'1.5' is not a whole number"),
        ("  worker:>x", 10, "'x' is not a whole number"),
        ("worker:", 6, "worker: has no value"),
        ("kind:task, worker:1", 10, "kind: has no value"),
        ("kind:>task", 5, "kind has no order"),
        ("size:4parsecs", 5, "'4parsecs' is not a size such as 4096, 4KiB"),
        ("size:99999999999GiB", 5, "is too large"),
        ("latency:fast", 8, "'fast' is not a duration such as 500us"),
        ("since:yesterday", 6, "'yesterday' is no time; expected an age such as 10m"),
        ("since:10y", 6, "'10y' is not an age such as 30s"),
        ('text "open', 5, "this quote is not closed"),
        ("kind:task -", 10, "there is nothing to search for"),
        ("job:99999999999999999999", 4, "is not a whole number"),
        ("x" * 1001, 1000, "1001 characters; expected at most 1000"),
    ],
)
def test_an_error_says_where_it_is_and_what_was_expected(text: str, column: int, message: str) -> None:
    with pytest.raises(FilterError, match=message) as error:
        parse(text, "messages")
    assert error.value.column == column


@pytest.mark.parametrize(
    ("text", "table", "index", "bounded"),
    [
        ("", "messages", "", False),
        ("kind:result", "messages", "ix_messages_kind_id", False),
        ("kind:result since:10m", "messages", "ix_messages_kind_id", False),
        ("since:10m", "messages", "", False),
        ("kind:result,task", "messages", "", True),
        ("-kind:result", "messages", "", True),
        ("size:>1", "messages", "", True),
        ("worker:>1", "messages", "", True),
        ("kind:result text", "messages", "ix_messages_kind_id", True),
        ("fds:>0", "messages", "", False),
        ("fds:>=1 since:10m", "messages", "", False),
        ("fds:>1", "messages", "", True),
        ("fds:1", "messages", "", True),
        ("fds:0", "messages", "", True),
        ("fds:>0 text", "messages", "", True),
        ("kind:result fds:>0", "messages", "ix_messages_kind_id", True),
        (f"job:{A_JOB} fds:>0", "messages", "ix_messages_job_id", False),
        ("kind:result worker:2", "messages", "ix_messages_worker_id", True),
        (f"job:{A_JOB} text", "messages", "ix_messages_job_id", False),
        ("inode:5 size:>0", "transfers", "ix_transfers_inode_message_position", False),
        ("proof:same", "transfers", "ix_transfers_proof_message_position", False),
        ("state:failed", "jobs", "ix_jobs_state_id", False),
        (f"id:{A_JOB}", "jobs", "", False),
        (f"-id:{A_JOB}", "jobs", "", True),
    ],
)
def test_what_no_index_finds_is_searched_within_bounds(text: str, table: str, index: str, bounded: bool) -> None:
    made = parse(text, table)
    assert (made.index, made.bounded) == (index, bounded)


@pytest.mark.parametrize(
    ("text", "descriptor"),
    [
        ("fds:>0", 0),
        ("fds:>=1", 0),
        ("fds:>1", 1),
        ("fds:3", 2),
        ("fds:>0 fds:>=2", 1),
        ("fds:0", None),
        ("fds:>=0", None),
        ("fds:<3", None),
        ("-fds:>0", None),
        ("fds:1,2", None),
        ("fds:>253", None),
        ("kind:result fds:>0", None),
    ],
)
def test_messages_with_descriptors_are_found_by_their_transfers(text: str, descriptor: int | None) -> None:
    assert parse(text, "messages").descriptor == descriptor


@pytest.mark.parametrize(
    ("table", "name"), [(table, field.name) for table, fields in FIELDS.items() for field in fields]
)
def test_every_field_explains_itself_and_its_example_can_be_read(table: str, name: str) -> None:
    [field] = [field for field in FIELDS[table] if field.name == name]
    assert field.explanation.endswith(".")
    assert field.example.startswith(f"{name}:")
    assert parse(field.example, table).conditions
    assert parse("-" + field.example, table).conditions


def test_every_table_says_where_text_is_looked_for() -> None:
    assert set(TEXT_EXPLANATION) == set(FIELDS)


def test_an_age_is_counted_from_now() -> None:
    bound = int(sql("since:10m").rsplit(" ", 1)[1])
    assert abs(time.time_ns() - 600 * 10**9 - time_of(bound)) < 5 * 10**9


def test_a_time_without_a_zone_is_utc() -> None:
    assert sql("since:2026-01-31T12:00") == sql("since:2026-01-31T13:00+01:00")


def test_workers_are_shown_unless_another_role_is_asked_for() -> None:
    assert "'worker'" in sql("", "workers")
    assert "'worker'" not in sql("role:web", "workers")


def test_an_object_may_be_named_in_one_word_or_as_it_is_shown() -> None:
    assert (
        sql("object:file", "transfers")
        == sql('object:"regular file"', "transfers")
        == "transfers.object = 'regular file'"
    )


def test_a_proof_that_is_not_made_yet_can_be_asked_for() -> None:
    assert sql("proof:pending", "transfers") == "transfers.proof = ''"


@pytest.mark.parametrize(
    ("table", "field", "words"),
    [
        ("messages", "state", MESSAGE_STATES),
        ("transfers", "state", MESSAGE_STATES),
        ("transfers", "proof", (*PROOFS, "unmade")),
        ("jobs", "state", JOB_STATES),
        ("workers", "sandbox", ("landlock+seccomp", "seccomp", "none", "")),
    ],
)
def test_every_word_that_a_table_shows_is_taken_by_its_filter(table: str, field: str, words: tuple[str, ...]) -> None:
    for word in words:
        shown = (sandbox_state if field == "sandbox" else state_of)(word)[1]
        assert f"{field} = '{'' if word == 'unmade' else word}'" in sql(f'{field}:"{shown}"', table)


def test_an_error_names_the_words_that_pages_show() -> None:
    with pytest.raises(FilterError, match='expected one of sent, received, failed, unknown, "in flight"'):
        parse("state:flying", "messages")
    with pytest.raises(FilterError, match='expected one of same, different, unproved, proved, "not made yet", pending'):
        parse("proof:sure", "transfers")
    with pytest.raises(FilterError, match="expected one of alive, ended, killed, died"):
        parse("state:gone", "workers")


def test_died_is_who_ended_unasked_and_not_in_order() -> None:
    assert sql("state:died", "workers").startswith(
        "processes.ended IS NOT NULL AND processes.asked = 0 AND (processes.`role` NOT IN ('lab', 'live', 'tool', "
        "'web')) AND (processes.`exit` NOT IN ('exited 0', 'closed its end')) AND (processes.`exit` NOT LIKE "
        "concat('killed by SIGKILL, ', '%%'))"
    )


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (f"{field}:{end}", table)
        for table, field in (("messages", "job"), ("transfers", "job"), ("jobs", "id"))
        for end in ("\u2026250048", "...250048", "250048", "000048", "5")
    ],
)
def test_the_end_of_an_id_is_answered_with_where_the_whole_one_stands(text: str, table: str) -> None:
    with pytest.raises(FilterError, match="expected the whole id: it ends the address of the job's page") as error:
        parse(text, table)
    assert error.value.column == text.index(":") + 1


@pytest.mark.parametrize(
    ("text", "column", "right"),
    [
        ("kind:task OR kind:result", 10, "write kind:task,result"),
        ('state:unknown OR state:"in flight"', 14, 'write state:unknown,"in flight"'),
        ("kind:task OR worker:2", 10, "write field:this,that"),
        ("photo AND kind:task", 6, "leave it out"),
    ],
)
def test_or_and_and_between_terms_are_answered_with_the_right_way(text: str, column: int, right: str) -> None:
    with pytest.raises(FilterError, match=right) as error:
        parse(text, "messages")
    assert error.value.column == column


@pytest.mark.parametrize("text", ['kind:task "OR" kind:result', "OR", "kind:task OR", "this or that", "ORDER AND"])
def test_or_in_quotes_or_not_between_terms_is_searched_for(text: str) -> None:
    assert "instr(messages.preview" in sql(text)


@pytest.mark.parametrize(
    "text", ["kind:result'; DROP TABLE messages", "%s %d %(x)s", "\\' OR 1=1 --", "\x00\x01", "🦊", "a" * 1000]
)
def test_whatever_is_searched_for_stays_a_value(text: str) -> None:
    try:
        assert all(
            condition.compile(dialect=mysql.dialect()).params for condition in parse(text, "messages").conditions
        )
    except FilterError as error:
        assert 0 <= error.column <= len(text)
