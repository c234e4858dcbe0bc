"""script/bench runs, compares what it says it compares, and counts what must be there. How fast anything is, is not
tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import export, round_trip
from bench.figures import Row, compare, percentile

PEERS = {"ProcessPoolExecutor", "multiprocessing.Pool", "Celery with Redis"}


def bench(tmp_path: Path, *arguments: str, **environment: str) -> dict:
    """What ``python -m bench --quick`` finds."""
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(found), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for row in json.loads(found.read_bytes())["rows"]:
        assert row["what"] in done.stdout and row["peer_name"] in done.stdout, "the table lacks a row of the JSON"
    return json.loads(found.read_bytes())


@pytest.mark.database
def test_an_export_is_measured_beside_a_bare_fetch_and_holds_every_row(tmp_path):
    found = bench(tmp_path, "export")
    assert {row["what"] for row in found["rows"]} == set(export.WAYS.values())
    assert all(row["ours"] > 0 and row["peer"] > 0 and row["target"] == 0.5 for row in found["rows"])
    assert len(found["checks"]) == 6 and all(check["holds"] for check in found["checks"])


@pytest.mark.pool
def test_every_figure_of_the_round_trip_has_a_row_for_each_peer_and_each_job_its_four_messages(tmp_path):
    found = bench(tmp_path, "round-trip", PATH=str(tmp_path))  # without Redis: its peer is left out, by name
    rows = {(row["what"], row["peer_name"]): row for row in found["rows"]}
    plain = {
        (what, peer)
        for size in ("64 B", "1 KiB")
        for what in (f"{size}, p50", f"{size}, p99", f"{size}, 256 in flight")
        for peer in PEERS
    }
    assert plain < set(rows)
    assert {what for what, _ in rows if what.endswith(("one core", "recorder draining"))} == {
        f"64 B, {figure}, {where}"
        for figure in ("p50", "p99", "256 in flight")
        for where in ("one core", "recorder draining")
    }
    for (_, peer), row in rows.items():
        assert row["ours"] > 0 and row["rounds"]
        assert (row["left_out"] and row["ratio"] is None) if peer == "Celery with Redis" else row["ratio"] > 0
    targets = {(row["target"], row["peer_name"]) for row in found["rows"] if row["target"]}
    assert targets == {
        (0.7, "ProcessPoolExecutor"),
        (1.0, "ProcessPoolExecutor"),
        (3.0, "ProcessPoolExecutor"),
        (40.0, "Celery with Redis"),
    }
    assert found["rows"][0]["what"] == "64 B, p50, recorder draining"
    assert len(found["checks"]) == 3 and all(
        check["holds"] and "four each" in check["what"] for check in found["checks"]
    )
    assert found["machine"]["cores"] and found["machine"]["kernel"] and found["machine"]["python"]


@pytest.mark.pool
def test_the_sync_policies_are_measured_beside_each_other(tmp_path):
    (row,) = bench(tmp_path, "policies")["rows"]
    assert row["ours"] > 0 and row["peer"] > 0 and (row["peer_name"], row["target"]) == ("sync policy none", 0.6)


@pytest.mark.long
@pytest.mark.pool
@pytest.mark.needs("redis-check-rdb")  # the server by another name: bench/peers.py
def test_celery_takes_part_where_redis_is(tmp_path):
    pytest.importorskip("celery")
    rows = bench(tmp_path, "round-trip")["rows"]
    assert all(row["ratio"] > 0 for row in rows)


@pytest.mark.process
def test_transfers_are_measured_on_both_cores_and_on_one(tmp_path):
    rows = bench(tmp_path, "transfers")["rows"]
    assert [(row["what"], row["target"]) for row in rows] == [
        ("one descriptor a message", 0.6),
        ("one descriptor a message, one core", None),
    ]
    assert all(row["ratio"] > 0 for row in rows)


@pytest.mark.database
def test_the_recorder_is_measured_on_rows_that_all_arrive(tmp_path):
    found = bench(tmp_path, "recorder")
    assert len(found["rows"]) == 5 and all(row["ours"] > 0 for row in found["rows"])
    assert {row["target"] for row in found["rows"]} == {60_000.0, 1.8, None}
    assert [check["holds"] for check in found["checks"]] == [True, True]


@pytest.mark.process
def test_an_unknown_benchmark_is_answered_with_those_that_there_are():
    done = subprocess.run([sys.executable, "-m", "bench", "nonsense"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "round-trip, recorder, transfers" in done.stderr


def test_a_missing_peer_is_named_with_what_would_bring_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (reason,) = round_trip.missing().values()
    assert "requirements-bench.txt" in reason or "apt-get install" in reason


def test_the_ratio_is_the_median_of_the_ratios_within_a_round():
    row = compare(Row("b", "w", "jobs/s", "higher", "peer", target=3.0), [300, 40, 90], [100, 10, 45])
    assert (row.ours, row.peer, row.ratio, row.met) == (90, 45, 3.0, True)
    assert compare(Row("b", "w", "us", "lower", "peer", target=0.7), [8], [10]).met is False
    absolute = compare(Row("b", "w", "rows/s", "higher", "", target=50, absolute=True), [40, 60, 70], None)
    assert (absolute.ratio, absolute.met) == (None, True)


def test_a_percentile_is_a_sample():
    assert percentile(range(100), 0.99) == 99 and percentile([5], 0.99) == 5 and percentile([3, 1, 2], 0.5) == 2


@pytest.mark.pool
@pytest.mark.web
def test_a_run_of_the_lab_is_measured_beside_a_bare_python(tmp_path):
    (row,) = bench(tmp_path, "lab")["rows"]
    assert row["ours"] > 0 and row["peer"] > 0 and row["target"] == 300.0 and row["absolute"]


@pytest.mark.long
@pytest.mark.lamp
def test_live_holds_every_viewer_and_tells_how_old_a_row_is_when_it_comes(tmp_path):
    found = bench(tmp_path, "live")
    assert {row["what"].partition(",")[0] for row in found["rows"]} >= {
        "age of a row at its arrival",
        "a plain page beside them",
    }
    assert all(row["ours"] is not None for row in found["rows"])
    assert [check["holds"] for check in found["checks"]] == [True]


@pytest.mark.process
@pytest.mark.needs("gcc", "strace")
def test_the_recorder_of_programs_is_measured_beside_the_bare_program_and_strace(tmp_path):
    found = bench(tmp_path, "record")
    rows = {row["what"]: row for row in found["rows"]}
    assert {row["peer_name"] for row in rows.values()} >= {"bare", "strace -f -yy --seccomp-bpf", "strace -f -yy"}
    assert [row["target"] for row in rows.values()] == [1.1, 1.1, 8, 3, 60]
    assert (
        rows["processor time of a followed call"]["ours"] > 0 and rows["a call that is not followed, stat"]["peer"] > 0
    )
    assert rows["a page of headless Chromium"]["left_out"] == "not with --quick"
