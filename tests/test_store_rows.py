"""Rows of MariaDB as our reader takes them apart, beside PyMySQL's own."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from pairscope.store.engine import engine
from pairscope.store.rows import Reader
from tests.database import MariaDB

pytestmark = pytest.mark.database


@pytest.fixture
def both_ways(mariadb: MariaDB) -> Iterator[tuple[Engine, Engine]]:
    """An engine that reads as web does, and one with PyMySQL's own connection."""
    made = engine(mariadb.url(), read_only=True), engine(mariadb.url())
    yield made
    for one in made:
        one.dispose()


def read(made: Engine, statement: str) -> list[tuple[object, ...]]:
    with made.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def test_what_reads_has_our_connection_and_what_writes_has_pymysqls(both_ways: tuple[Engine, Engine]) -> None:
    ours, theirs = both_ways
    with ours.connect() as one, theirs.connect() as other:
        assert isinstance(one.connection.driver_connection, Reader)
        assert not isinstance(other.connection.driver_connection, Reader)


def test_each_length_and_each_kind_of_value_is_read_as_pymysql_reads_it(both_ways: tuple[Engine, Engine]) -> None:
    lengths = (0, 1, 250, 251, 252, 253, 254, 255, 256, 65_535, 65_536, 70_000, 5_000_000)
    sizes = [f"SELECT REPEAT('é', {size}), NULL, REPEAT(x'ff', {size}), {size}" for size in lengths]
    kinds = (
        "SELECT 0, -1, 18446744073709551615, -9223372036854775808, TRUE, 1.5, 1e300, CAST(2.50 AS DECIMAL(9,2)), "
        "DATE '2026-12-01', TIMESTAMP '2026-12-01 12:00:00.000001', TIME '-01:02:03', b'101', "
        "JSON_OBJECT('a', 1), CAST('x' AS BINARY), '', NULL, '\U0001f600', ST_GeomFromText('POINT(1 2)')"
    )
    ours, theirs = both_ways
    for statement in (*sizes, kinds, "SELECT 1 WHERE FALSE", " UNION ALL ".join(sizes[:9])):
        assert read(ours, statement) == read(theirs, statement), statement[:60]


def test_random_rows_are_read_as_pymysql_reads_them(both_ways: tuple[Engine, Engine]) -> None:
    chance = random.Random(17)
    value = (
        lambda: "NULL",
        lambda: str(chance.randrange(-(2**63), 2**63)),
        lambda: f"x'{chance.randbytes(chance.randrange(300)).hex()}'",
        lambda: f"REPEAT('ä', {chance.randrange(400)})",
    )
    ours, theirs = both_ways
    for _ in range(100):
        columns = [chance.choice(value) for _column in range(chance.randrange(1, 9))]
        rows = [", ".join(make() for make in columns) for _row in range(chance.randrange(1, 9))]
        statement = " UNION ALL ".join(f"SELECT {row}" for row in rows)
        assert read(ours, statement) == read(theirs, statement), statement[:200]


def test_an_error_in_the_midst_of_the_rows_is_the_drivers_own_and_the_connection_goes_on(
    both_ways: tuple[Engine, Engine],
) -> None:
    ours, _theirs = both_ways
    with ours.connect() as connection:
        connection.exec_driver_sql("USE mysql")
        with pytest.raises(OperationalError, match="Subquery returns more than 1 row"):
            connection.exec_driver_sql("SELECT IF(seq > 1000, (SELECT 1 UNION SELECT 2), seq) FROM seq_1_to_2000")
        assert connection.exec_driver_sql("SELECT 7").scalar() == 7
