# needs: msghdr, call
import ctypes


def raw_message(function, number, pieces, control=b"", length=None, flags=0, iov=None):
    """sendmsg or recvmsg as they are. `control`: its bytes; `length`: what is claimed of them; `iov`: an address in place of the pieces'."""
    held = [(ctypes.c_char * len(piece)).from_buffer_copy(piece) for piece in pieces]
    array = (Iovec * max(len(held), 1))(*((ctypes.addressof(piece), len(piece)) for piece in held))
    length = len(control) if length is None else length
    room = ctypes.create_string_buffer(control, max(length, len(control)) + 64)
    header = Msghdr(
        iov=ctypes.addressof(array) if iov is None else iov, iovlen=len(held) or iov is not None,
        control=ctypes.addressof(room) if length else None, controllen=length,
    )
    return call(function, number, ctypes.byref(header), flags)
