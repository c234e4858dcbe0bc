# needs: call
import ctypes


def raw_read(function, number, size, *more, count=None):
    """Reads by a function of the C library: how many bytes there were, and as many as there was room for."""
    room = ctypes.create_string_buffer(max(size, 1))
    count = call(function, number, room, ctypes.c_size_t(size if count is None else count), *more)
    return count, room.raw[: min(count, size)]
