"""Folding: what records become rows, told without a database."""

from __future__ import annotations

import msgspec
import pytest

from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import (
    Born,
    Ended,
    Epoch,
    HandedOver,
    JobEnded,
    JobStarted,
    JobSubmitted,
    Message,
    Outcome,
    OutputGone,
    Proof,
    Ready,
    Transfer,
)
from pairscope.recorder.fold import Batch, Fold, Rows, Source, fold, needs, safe, signed, word, words
from tests.story import BEGIN, Story

SOURCE = Source(1, "here", 3, 9, 900)


def numbered(records: list, first: int = 100) -> Batch:
    return list(enumerate(records, first))


def folded(records: list, known: Rows | None = None, first: int = 100, source: Source = SOURCE) -> Fold:
    return fold(numbered(records, first), known or Rows(), source)


def test_sent_and_outcome_in_one_batch_become_one_complete_row() -> None:
    story = Story()
    task = story.message("task", job=5, fds=2, serial=4)
    made = folded([task, story.outcome(task)])
    row = made.rows.messages[task.id]
    assert (row.state, row.latency, row.received, row.change) == ("received", 60_000, task.sent + 60_000, 101)
    assert (row.sender_role, row.sender_serial, row.sender_pid) == ("supervisor", 9, 900)
    assert (row.receiver_role, row.receiver_serial, row.worker, row.job, row.epoch) == ("worker", 4, 4, 5, 3)
    assert [made.rows.transfers[task.id, number].receiver_fd for number in (0, 1)] == [20, 21]
    assert made.inserted == {"messages": 1, "transfers": 2, "jobs": 0, "processes": 0}


def test_a_message_to_the_supervisor_is_complete_when_it_comes() -> None:
    story = Story()
    result = story.message("result", inbound=True, serial=4)
    row = folded([result]).rows.messages[result.id]
    assert (row.state, row.latency, row.sender_role, row.receiver_role) == ("received", 40_000, "worker", "supervisor")


def test_each_value_of_a_message_stands_in_the_column_of_its_name() -> None:
    came = Message(11, 12, BY_NAME["result"].code, True, "worker", 13, 14, 15, 1, 16, BEGIN, BEGIN + 17, b"preview")
    assert msgspec.structs.asdict(folded([came], first=18).rows.messages[11]) == {
        "id": 11, "node": 1, "epoch": 3, "change": 18, "job": 12, "kind": "result",
        "sender_role": "worker", "sender_serial": 13, "sender_pid": 14,
        "receiver_role": "supervisor", "receiver_serial": 9, "receiver_pid": 900,
        "worker": 13, "size": 15, "fds": 1, "flags": 16, "sent": BEGIN, "received": BEGIN + 17, "latency": 17,
        "state": "received", "reason": "", "preview": b"preview",
    }  # fmt: skip


def test_a_message_without_an_outcome_is_sent_and_has_no_times_that_nobody_saw() -> None:
    task = Story().message("task", fds=1)
    made = folded([task])
    row, transfer = made.rows.messages[task.id], made.rows.transfers[task.id, 0]
    assert (row.state, row.received, row.latency) == ("sent", None, None)
    assert (transfer.state, transfer.receiver_fd, transfer.proof) == ("sent", None, "")


def test_an_outcome_in_a_later_batch_asks_for_its_row_and_completes_it() -> None:
    story = Story()
    task = story.message("task", fds=1)
    first = folded([task]).rows
    later = numbered([story.outcome(task), Proof(task.id, 0, "same", "")], 200)
    assert (needs(later).messages, needs(later).transfers) == ({task.id}, {task.id})
    made = fold(later, first, SOURCE)
    assert (made.rows.messages[task.id].change, made.rows.messages[task.id].latency) == (200, 60_000)
    assert (made.rows.transfers[task.id, 0].change, made.rows.transfers[task.id, 0].proof) == (201, "same")
    assert made.inserted == {"messages": 0, "transfers": 0, "jobs": 0, "processes": 0}


def test_what_a_batch_inserts_itself_it_does_not_ask_for() -> None:
    wanted = needs(numbered(Story().job()))
    assert not (wanted.messages or wanted.transfers or wanted.jobs or wanted.processes or wanted.all_open)


def test_a_failed_message_says_why_and_its_descriptors_stay_unproved() -> None:
    story = Story()
    task = story.message("task", fds=1)
    made = folded([task, story.outcome(task, "failed", "broken pipe")])
    row, transfer = made.rows.messages[task.id], made.rows.transfers[task.id, 0]
    assert (row.state, row.reason, row.latency) == ("failed", "broken pipe", None)
    assert (transfer.state, transfer.proof, transfer.proof_reason) == (
        "failed",
        "unproved",
        "the descriptor did not arrive",
    )


def test_a_job_goes_from_queued_over_running_to_its_end() -> None:
    states = []
    rows = Rows()
    for record in (
        JobSubmitted(5, "digest", "a.jpg", 10, BEGIN, "web", 1, 70),
        JobStarted(5, 2, BEGIN + 1),
        JobEnded(5, "done", BEGIN + 2, "", b'{"size": 10}', 7, "image/png", "a.png", BEGIN + 3),
        OutputGone(5, BEGIN + 4, "older than an hour"),
    ):
        rows = folded([record], rows).rows
        states.append(rows.jobs[5].state)
    job = rows.jobs[5]
    assert states == ["queued", "running", "done", "done"]
    assert (job.worker, job.started, job.ended, job.result, job.output) == (2, BEGIN + 1, BEGIN + 2, '{"size": 10}', 7)
    assert (job.output_gone, job.gone_reason) == (BEGIN + 4, "older than an hour")


def test_a_job_begins_to_run_with_its_task_also_where_its_row_is_older_than_the_batch() -> None:
    story = Story()
    task = story.message("task", fds=1, serial=2)
    task.job = 5
    queued = JobSubmitted(5, "digest", "a.jpg", 10, BEGIN, "web", 1, 70)
    assert needs([(1, queued), (2, task)]).jobs == set()
    assert needs([(2, task)]).jobs == {5}
    for rows in (folded([queued, task]).rows, folded([task], folded([queued]).rows).rows):
        job = rows.jobs[5]
        assert (job.state, job.worker, job.started) == ("running", 2, task.sent)


def test_a_process_is_born_ready_and_ends_in_words() -> None:
    made = folded(
        [
            Born("worker", 2, 42, 0, 10),
            Ready("worker", 2, 20, "seccomp", {"abi": 0}, 65534),
            Ended("worker", 2, 30, "killed by SIGKILL", False),
        ]
    )
    row = made.rows.processes["worker", 2]
    assert (row.born, row.ready, row.ended, row.exit, row.sandbox, row.detail) == (
        10,
        20,
        30,
        "killed by SIGKILL",
        "seccomp",
        '{"abi":0}',
    )
    assert row.uid == 65534


def test_a_process_whose_user_was_not_observed_again_keeps_that_of_its_birth() -> None:
    made = folded([Born("worker", 2, 42, 1000, 10), Ready("worker", 2, 20, "seccomp", {})])
    assert made.rows.processes["worker", 2].uid == 1000


def test_a_new_epoch_decides_what_the_last_one_left_open_in_the_same_batch_and_before() -> None:
    story = Story()
    before, job = story.message("task", fds=1), JobSubmitted(5, "digest", "a", 1, BEGIN, "web", 1, 70)
    known = folded([Born("worker", 1, 42, 0, 1), before, job]).rows
    within = story.message("stop")
    made = folded([within, Epoch(1, "there", 4, 901, 10, BEGIN + 9, 0, False)], known, first=200)
    for message in (before, within):
        row = made.rows.messages[message.id]
        assert (row.state, row.change) == ("unknown", 201)
        assert row.reason == "the supervisor of epoch 3 died before the outcome was known"
    transfer = made.rows.transfers[before.id, 0]
    assert (transfer.state, transfer.proof) == ("unknown", "unproved")
    assert (made.rows.jobs[5].state, made.rows.jobs[5].reason) == (
        "failed",
        "the supervisor of epoch 3 died while the job was queued",
    )
    assert made.rows.processes["worker", 1].exit == "gone with the supervisor"
    assert made.rows.processes["supervisor", 10].ended is None
    assert made.source == Source(1, "there", 4, 10, 901)


def test_an_output_goes_with_the_supervisor_that_kept_it() -> None:
    ended = [
        JobEnded(5, "done", 20, "", b"{}", 1000, "application/gzip", "x.gz", 99),
        JobEnded(6, "done", 21, "", b"{}"),
    ]
    begun = [JobSubmitted(job, "compress", "x", 10, 10, "web", 1, 41) for job in (5, 6)]
    rows = folded([*begun, *ended, Epoch(1, "here", 4, 950, 10, 30, 0, False)]).rows.jobs
    assert (rows[5].output, rows[5].output_gone, rows[5].change) == (1000, 30, 104)
    assert rows[5].gone_reason == "the supervisor of epoch 3 died, and kept it no longer"
    assert rows[6].output_gone is None


def test_a_supervisor_that_stops_in_order_leaves_nothing_open() -> None:
    story = Story()
    task = story.message("task")
    begin = folded([Epoch(1, "here", 3, 900, 9, 1, 0, True), task]).rows
    made = folded([Ended("supervisor", 9, BEGIN, "stopped", True)], begin)
    assert made.rows.messages[task.id].reason == "the supervisor of epoch 3 stopped before the outcome was known"
    assert made.rows.processes["supervisor", 9].exit == "stopped"


def test_of_a_client_only_the_pair_ends_with_a_killed_supervisor_and_the_next_epoch_finds_that_one_gone() -> None:
    begin = folded(
        [
            Epoch(1, "here", 3, 900, 9, 1, 0, True),
            *(Born(role, 3, 70, 0, 2) for role in ("web", "lab", "tool", "recorder")),
        ]
    ).rows
    ends = {
        role: row.exit
        for (role, serial), row in folded([Epoch(1, "here", 4, 901, 10, BEGIN, 0, False)], begin).rows.processes.items()
        if serial != 10
    }
    assert ends == dict.fromkeys(("web", "lab", "tool"), "its pair ended with supervisor 9") | {
        "supervisor": "epoch 4 found it gone",
        "recorder": "gone with the supervisor",
    }


def test_an_outcome_that_came_in_time_is_not_touched_by_the_next_epoch() -> None:
    story = Story()
    task = story.message("task")
    made = folded([task, story.outcome(task), Epoch(1, "here", 4, 901, 10, BEGIN, 0, False)])
    assert (made.rows.messages[task.id].state, made.rows.messages[task.id].change) == ("received", 101)


def test_messages_after_an_epoch_have_its_supervisor_at_the_other_end() -> None:
    story = Story()
    message = story.message("stop")
    row = folded([Epoch(1, "here", 4, 901, 10, BEGIN, 0, False), message]).rows.messages[message.id]
    assert (row.epoch, row.sender_serial, row.sender_pid) == (4, 10, 901)


def test_what_was_pruned_or_put_aside_is_not_missed() -> None:
    made = folded(
        [
            Outcome(1, "received", 2, 0, []),
            Proof(1, 0, "same", ""),
            JobEnded(2, "done", 1, "", b""),
            Ended("web", 3, 1, "", False),
        ]
    )
    assert made.rows == Rows()


def test_a_message_is_settled_once_it_is_complete_and_told_once() -> None:
    story = Story()
    task, stop = story.message("task"), story.message("stop")
    folding = fold(numbered([task, stop]), Rows(), SOURCE)
    assert (folding.take_settled(), [row.id for row in folding.unsettled()]) == ([], [task.id, stop.id])
    folding.feed(numbered([story.outcome(task), story.message("result", inbound=True)], 102))
    assert [row.kind for row in folding.take_settled()] == ["task", "result"]
    assert (folding.take_settled(), [row.id for row in folding.unsettled()]) == ([], [stop.id])


def test_folding_twice_gives_the_same_rows() -> None:
    records = Story().workers() + Story().job()
    once, twice = folded(records), folded(records)
    assert once.rows == twice.rows and once.paces == twice.paces


def test_the_pace_counts_messages_and_their_latencies_once() -> None:
    story = Story()
    records = story.job()
    first = fold(numbered(records[:5]), Rows(), SOURCE)
    second = fold(numbered(records[5:], 105), first.rows, SOURCE)
    counted = [pace for made in (first, second) for pace in made.paces.values()]
    assert sum(pace.messages for pace in counted) == 5
    assert sum(sum(pace.latencies.values()) for pace in counted) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("näme", "näme"),
        ("a\0b", "a␀b"),
        ("broken \udcff name", "broken \\udcff name"),
        ("x" * 11, "x" * 9 + "…"),
    ],
)
def test_text_that_a_database_would_refuse_or_cut_is_made_safe(text: str, expected: str) -> None:
    assert words(text, 10) == expected if len(text) == 11 else words(text, 30) == expected


def test_an_identifier_is_ascii_and_fits() -> None:
    assert (word("größe", 16), word("a" * 20, 16), word("a\0", 16)) == ("gr??e", "a" * 14 + "..", "a?")
    assert safe("a\0\udc80") == "a␀\\udc80"


def test_an_inode_above_the_sign_is_kept_in_twos_complement() -> None:
    assert (signed(2**64 - 1), signed(2**63), signed(7)) == (-1, -(2**63), 7)


def test_a_kind_that_this_version_does_not_know_is_named_by_its_number() -> None:
    message = Story().message("task")
    message.kind = 999
    assert isinstance(message, Message)
    assert folded([message]).rows.messages[message.id].kind == "kind 999"


def test_what_live_reports_of_a_viewer_becomes_a_message_and_a_transfer_between_the_two_that_it_names():
    crossed = Transfer(0, -1, 9, "socket", 8, 1042, "read-write", 2, -1, 0, "socket:[1042]", "unproved", "why")
    told = HandedOver(41, "viewer", BEGIN, "apache", 4711, "live", 3, 4712, crossed)
    first = folded([told])
    assert (first.inserted["messages"], first.inserted["transfers"]) == (1, 1)
    again = folded([told], first.rows)
    assert (again.inserted["messages"], again.inserted["transfers"]) == (0, 0), "no row comes twice"
    row, transfer = again.rows.messages[41], again.rows.transfers[41, 0]
    assert (row.kind, row.state, row.fds, row.sent, row.latency) == ("viewer", "received", 1, BEGIN, None)
    for each in (row, transfer):
        assert (each.sender_role, each.sender_serial, each.sender_pid) == ("apache", 0, 4711)
        assert (each.receiver_role, each.receiver_serial, each.receiver_pid) == ("live", 3, 4712)
    assert (transfer.sender_fd, transfer.receiver_fd, transfer.proof, transfer.inode) == (-1, 9, "unproved", 1042)
