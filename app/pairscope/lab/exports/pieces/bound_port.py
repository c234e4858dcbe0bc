# needs: borrow
import contextlib
import socket


def bound_port(family, number):
    """That the last bind of such a socket was given: ports of UDP are others than those of TCP."""
    with contextlib.suppress(OSError), borrow(number) as sock:
        return stage.port[family == socket.AF_INET6][sock.type == socket.SOCK_DGRAM]
    return stage.port[family == socket.AF_INET6][0]
