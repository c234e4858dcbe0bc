"""The two evaluators of the filter's language, in a database and in memory: the same answer over random rows and
filters."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, SmallInteger, delete, func, insert, select
from sqlalchemy.orm import Session

from pairscope.config import Settings
from pairscope.ipc.identity import first_id_at
from pairscope.ipc.vocabulary import JOB_STATES, KINDS, MESSAGE_STATES, PROOFS
from pairscope.store.engine import engine
from pairscope.store.filter import FIELDS, FilterError, parse
from pairscope.store.filter.conditions import read
from pairscope.store.filter.memory import CAPITALS, Letters, fits, letters
from pairscope.store.filter.sql import MODELS
from pairscope.store.models import IN_ORDER, KILLED_FOR, Process
from tests.database import both

RUNS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    phases=[Phase.generate],  # to make a failing example smaller took minutes
    suppress_health_check=list(HealthCheck),
)
"""1,500 examples of each table and database were tried, too."""


@pytest.fixture(autouse=True, scope="module")
def no_directory_beside_the_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


class Place(NamedTuple):
    """A database, and what its LOWER does."""

    session: Session
    letters: Letters


@pytest.fixture
def place(history: Settings) -> Iterator[Place]:
    made = engine(history.recorder_url)
    with Session(made) as session:
        lowered = session.scalar(select(func.lower(CAPITALS)))
        assert lowered is not None
        yield Place(session, letters(lowered))
    made.dispose()


# ---- random rows and filters

NAMES = [
    "photo.jpg",
    "PHOTO.JPG",
    "ÄPFEL äpfel",
    "straße STRASSE ẞ",
    "ΑΣ ας ασ",
    "İstanbul ıstanbul",
    "К к Ⰰ ⰰ Ა ა 𐐀 𐐨",
]
LETTERS = "aAbBäÄ%_\\'\"ßẞİıΣσς🙂-.: "
TEXTS = st.sampled_from(NAMES) | st.text(LETTERS, max_size=6)
NUMBERS = st.sampled_from([0, 1, 2, 7, 10, 4096, 5_000_000, 2**31 - 1]) | st.integers(0, 40)
LARGE = NUMBERS | st.sampled_from([2**63 - 1, first_id_at(10**18), 123456789012250048])
SOON = {"state": (*MESSAGE_STATES, *JOB_STATES), "proof": (*PROOFS, ""), "kind": [kind.name for kind in KINDS]}
WORDS = {
    **SOON,
    **dict.fromkeys(
        ("sender_role", "receiver_role", "client_role", "role"), ("worker", "worker", "worker", "web", "lab")
    ),
    "object": ("memfd", "regular file", "socket"),
    "access": ("read", "write", "read-write"),
    "sandbox": ("", "seccomp", "landlock+seccomp", "SECCOMP"),
    "exit": ("", *IN_ORDER, KILLED_FOR + "it was late", "Killed by sigkill, X", "exited 1", "EXITED 0"),
}


def value(name: str, kind: Any, nullable: bool) -> st.SearchStrategy[Any]:
    """What a column may hold."""
    match kind:
        case Boolean():
            made: st.SearchStrategy[Any] = st.booleans()
        case SmallInteger():
            made = st.integers(0, 9)
        case BigInteger():
            made = LARGE
        case Integer():
            made = NUMBERS
        case LargeBinary():
            made = TEXTS.map(str.encode) | st.binary(max_size=8)
        case _:
            made = st.sampled_from(WORDS[name]) if name in WORDS else TEXTS
    return made | st.none() if nullable else made


def rows(table: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    columns = MODELS[table].__table__.columns
    long = {"reason", "name", "output_name", "link", "proof_reason", "result"}
    made = {
        column.key: value(column.key, column.type, bool(column.nullable))
        for column in columns
        if column.key in WORDS or column.key in long or column.type.python_type is not str
    }
    made |= {column.key: st.just("") for column in columns if column.key not in made}
    keys = [column.key for column in columns if column.primary_key]
    return st.lists(
        st.fixed_dictionaries(made), min_size=1, max_size=8, unique_by=lambda row: tuple(row[key] for key in keys)
    )


def terms(table: str) -> st.SearchStrategy[str]:
    """Filters, most of which can be read."""
    quoted = TEXTS.filter(bool).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    amounts = NUMBERS.map(str) | st.sampled_from(["4KiB", "5ms", "123456789012250048", "9223372036854775807", "1.5s"])
    words = [word for each in WORDS.values() for word in each if word and word.isascii() and " " not in word]
    words += ["alive", "ended", "killed", "died", "pending", "waiting", "digest", "file"]
    one = st.one_of(
        st.sampled_from(words),
        amounts,
        st.tuples(st.sampled_from([">", ">=", "<", "<="]), amounts).map("".join),
        st.sampled_from(["2026-01-31T12:00", "2001-09-09"]),
    )
    field = st.tuples(
        st.sampled_from([field.name for field in FIELDS[table]]), st.lists(one, min_size=1, max_size=3).map(",".join)
    ).map(":".join)
    term = st.tuples(st.sampled_from(["", "", "-"]), field | quoted | st.sampled_from(list(string.ascii_letters)))
    return st.lists(term.map("".join), min_size=1, max_size=3).map(" ".join)


def readable(table: str) -> st.SearchStrategy[str]:
    def can_be_read(text: str) -> bool:
        try:
            read(text, table)
        except FilterError:
            return False
        return True

    examples = st.sampled_from([field.example for field in FIELDS[table] if field.name != "since"])
    return terms(table).filter(can_be_read) | examples


# ---- the claims


@both
@pytest.mark.parametrize("table", MODELS)
def test_a_row_fits_in_memory_where_it_fits_in_the_database(table: str, database: str, place: Place) -> None:
    model: Any = MODELS[table]
    keys = tuple(model.__mapper__.primary_key)
    seen = {True: 0, False: 0}

    @RUNS
    @given(rows(table), st.lists(readable(table), min_size=1, max_size=6))
    def same(given_rows: list[dict[str, Any]], filters: list[str]) -> None:
        place.session.execute(delete(model))
        place.session.execute(insert(model), given_rows)
        place.session.expunge_all()
        held = list(place.session.scalars(select(model)))
        for text in filters:
            conditions = read(text, table)
            found = {tuple(row) for row in place.session.execute(select(*keys).where(*parse(text, table).conditions))}
            for row in held:
                key = tuple(getattr(row, column.key) for column in keys)
                assert fits(conditions, row, place.letters) is (key in found), (text, row.__dict__)
                seen[key in found] += 1
        place.session.rollback()

    same()
    assert min(seen.values()) >= 20, "rows fit and others do not"


def test_a_database_that_gives_another_number_of_letters_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        letters(CAPITALS.lower())


def test_how_a_process_ended_is_compared_letter_by_letter_in_sqlite_too(place: Place) -> None:
    row = {column.key: column.type.python_type() for column in Process.__table__.columns}
    row |= {"role": "worker", "ended": 1, "exit": KILLED_FOR.lower()}
    place.session.execute(insert(Process), [row])
    killed = place.session.scalars(select(Process).where(*parse("state:killed", "workers").conditions))
    assert not list(killed)
    assert not fits(read("state:killed", "workers"), place.session.scalars(select(Process)).one(), place.letters)
