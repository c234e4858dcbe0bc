"""Programs through the pool: a station has each run by a process of its own, of which nothing remains."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pairscope.ipc import memfd
from pairscope.ipc.payloads import Accepted, Answer
from pairscope.pool.snapshot import WorkerView
from pairscope.program import request
from pairscope.program.sentences import Unrun
from tests.boxed import Boxed, below
from tests.eventually import eventually
from tests.pools import Pool, running
from tests.stations import idle, stations
from tests.traced import living

pytestmark = [pytest.mark.pool, pytest.mark.needs("gcc")]

SAYS = "#include <stdio.h>\nint main(int argc, char **argv) { puts(argv[argc - 1]); return 0; }\n"
WAITS = "#include <unistd.h>\nint main(void) { fork(); for (;;) usleep(20000), dup(0), close(3); }\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running(tmp_path_factory.mktemp("programs"), PAIRSCOPE_WORKERS="1") as pool:
        pool.ready()
        yield pool


def hand_in(pool: Pool, source: str, *arguments: str) -> Accepted:
    fd = memfd.sealed("a program", request.encoded("c", source, list(arguments), ""))
    try:
        return pool.client.submit("lab", fd, name="a program", want="both", timeout=60)
    finally:
        os.close(fd)


def ended(pool: Pool, accepted: Accepted) -> Answer:
    answer = pool.client.answer(accepted.job, 60)
    assert answer
    return answer


def fetched(pool: Pool, job: int) -> bytes:
    found, fd = pool.client.fetch(job)
    try:
        return os.pread(fd, found.size, 0)
    finally:
        os.close(fd)


def runs(station: int) -> list[int]:
    """Waits for both processes of WAITS: they, the recorder in their box, and who waits outside."""

    def look() -> list[int] | None:
        found = below(station)
        return list(found) if list(found.values()).count("program") == 2 else None

    pids = eventually(look, "both processes of the program run", 30)
    assert len(pids) == 4
    return pids


def test_a_program_crosses_as_a_descriptor_and_its_recording_comes_back_as_one(shared: Pool) -> None:
    with stations(shared) as (station,):
        assert (station.detail["programs"], station.detail["compiler"]) == ("", "")
        answer = ended(shared, hand_in(shared, SAYS, "hello"))
        assert (answer.state, answer.result["program"]) == ("done", "recorded"), answer
        assert Boxed(fetched(shared, answer.job)).out == "hello\n"


def test_what_is_not_compiled_comes_back_with_its_remarks(shared: Pool) -> None:
    with stations(shared):
        answer = ended(shared, hand_in(shared, "int main(void) { return x; }\n"))
        assert (answer.state, answer.result["program"], answer.result["reason"]) == (
            "done", "none", Unrun.NOT_COMPILED,
        )  # fmt: skip
        unran = Boxed(fetched(shared, answer.job)).unran
        assert unran is not None
        assert unran.remarks[0].line == 1


def test_a_program_that_is_cancelled_is_ended_whole_and_the_station_takes_the_next(shared: Pool) -> None:
    with stations(shared) as (station,):
        accepted = hand_in(shared, WAITS)
        pids = runs(station.pid)
        mounts = Path("/proc/self/mountinfo").read_text()
        shared.client.cancel(accepted.job)
        assert ended(shared, accepted).state == "cancelled"
        eventually(lambda: not living(pids), "nobody is in the box any more, long before its clock has run out", 12)
        assert Path("/proc/self/mountinfo").read_text() == mounts
        idle(shared, [station.pid])
        assert ended(shared, hand_in(shared, SAYS, "next")).state == "done"


def test_nothing_of_a_program_remains_when_its_station_is_killed(shared: Pool) -> None:
    with stations(shared) as (station,):
        hand_in(shared, WAITS)
        pids = runs(station.pid)
        os.kill(station.pid, signal.SIGKILL)
        eventually(lambda: not living(pids), "nobody is in the box any more, long before its clock has run out", 12)


def test_where_they_are_switched_off_no_program_is_run(tmp_path: Path) -> None:
    with running(tmp_path, PAIRSCOPE_WORKERS="1") as pool:
        settings = tmp_path / "off.toml"
        settings.write_text(f'state = "{pool.settings.state}"\nrun = "{pool.settings.run}"\nlab_programs = "off"\n')
        with stations(pool, PAIRSCOPE_SETTINGS=str(settings)) as (station,):
            was_refused(pool, station)


def was_refused(pool: Pool, station: WorkerView) -> None:
    assert station.detail["programs"] == Unrun.OFF
    answer = ended(pool, hand_in(pool, SAYS, "hello"))
    assert msgspec.json.decode(fetched(pool, answer.job)) == {"error": Unrun.OFF, "remarks": []}
