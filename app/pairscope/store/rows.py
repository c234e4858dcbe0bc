"""PyMySQL's connection, which reads the rows of an answer in half of the time.

PyMySQL takes each value out of a row by three calls, which is most of what an export costs. Here they are one loop over
the bytes. What the server says, and in which types values come, is PyMySQL's (connections.py, 1.2).
"""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection, MySQLResult


class Result(MySQLResult):
    """An answer of which all rows are read at once."""

    converters: list[tuple[str | None, Any]]

    def _read_row_from_packet(self, packet: Any) -> tuple[Any, ...]:
        """The values of a row, each a length and so many bytes.
        https://mariadb.com/kb/en/protocol-data-types/#length-encoded-strings"""
        data, at = packet.get_all_data(), 0
        row: list[Any] = []
        for encoding, converter in self.converters:
            length = data[at]
            at += 1
            if length > 250:
                if length == 251:
                    row.append(None)
                    continue
                size = _SIZES[length]
                length = int.from_bytes(data[at : at + size], "little")
                at += size
            value = data[at : (at := at + length)]
            if converter is int:
                row.append(int(value))  # takes the digits as they come
                continue
            if encoding is not None:
                value = value.decode(encoding)
            row.append(value if converter is None else converter(value))
        if at != len(data):
            raise AssertionError(f"a row of {len(data)} bytes, of which {at} were read")
        return tuple(row)


_SIZES = {252: 2, 253: 3, 254: 8}
"""Bytes of a length, by what stands before it."""


class Reader(Connection):
    """A connection that mostly reads."""

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        if unbuffered:
            return super()._read_query_result(unbuffered)  # type: ignore[misc]  # the stubs leave it out
        self._result = None
        result = Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows
