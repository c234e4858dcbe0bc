import contextlib
import errno
import socket


@contextlib.contextmanager
def borrow(number):
    """A socket object that stands for a descriptor and does not own it."""
    if number < 0:
        raise OSError(errno.EBADF, "borrow")
    sock = socket.socket(fileno=number)
    try:
        yield sock
    finally:
        sock.detach()
