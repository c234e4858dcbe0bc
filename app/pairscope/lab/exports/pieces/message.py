# needs: quoted, bits
import array
import socket

MSG = [
    __MESSAGE_FLAGS__
]


def message(came, pieces, *names):
    """What recvmsg gave: how much, the bytes (`pieces` None: the kernel copied none), its flags, descriptors, credentials. The descriptors get their names."""
    count, control, flags, _ = came
    words = [count, *([] if pieces is None and count else [quoted(b"".join(pieces or ())[:count])]), f"flags={bits(flags & ~socket.MSG_CMSG_CLOEXEC, MSG)}"]
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and __RIGHTS__:
            fds.frombytes(data[: len(data) // 4 * 4])
    for name, number in zip(names, fds):
        setattr(fd, name, number)
    words += [f"fds={fds.tolist()}"] if fds else []
    __CREDS__
    return words
