"""The pipeline: the next statement is made while the server works on the last.

PyMySQL's ``query`` sends a statement and waits for its answer; here the two halves are taken apart. They have private names,
so that requirements.txt names the driver's version and a test holds it to them. A thread that waits would do the same, and
was slower: it and whoever makes the statements have one interpreter lock.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable

from pymysql.constants import COMMAND
from sqlalchemy import Connection


def run(connection: Connection, statements: Iterable[str], meanwhile: Callable[[], None]) -> None:
    """Runs statements that give no rows, one after the other; calls `meanwhile` while the server works on the last.

    Raises the driver's own errors, and what `statements` raises. The connection is then of no more use, and given up.
    """
    driver: Any = connection.connection.driver_connection
    answer_due = False
    try:
        for statement in statements:
            if answer_due:
                driver._read_query_result()
            driver._execute_command(COMMAND.COM_QUERY, statement)
            answer_due = True
        meanwhile()
        if answer_due:
            driver._read_query_result()
    except BaseException:
        # An answer may still be under way: the next statement would take it for its own.
        connection.invalidate()
        raise
