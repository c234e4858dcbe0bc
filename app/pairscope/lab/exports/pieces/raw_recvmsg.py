# needs: msghdr, call
import ctypes
import struct


def raw_recvmsg(number, pieces, room, flags):
    """recvmsg as it is, where Python's own would take it up again after a handler. It gives what recvmsg_into gives."""
    held = [(ctypes.c_char * len(piece)).from_buffer(piece) for piece in pieces]
    array = (Iovec * max(len(held), 1))(*((ctypes.addressof(piece), len(piece)) for piece in held))
    control = ctypes.create_string_buffer(room + 64)
    header = Msghdr(iov=ctypes.addressof(array), iovlen=len(held), control=ctypes.addressof(control) if room else None, controllen=room)
    count = call(libc.recvmsg, number, ctypes.byref(header), flags)
    found, data = [], control.raw[: header.controllen]
    while len(data) >= 16:
        length, level, kind = struct.unpack_from("=QII", data)
        found.append((level, kind, data[16:length]))
        data = data[length + 7 & ~7 :]
    return count, found, header.flags, None
