# needs: borrow
import socket


def keeps(number):
    """Whether a call with MSG_TRUNC writes anything: TCP counts what is asked for, and copies nothing. tcp(7)"""
    with borrow(number) as sock:
        return sock.proto != socket.IPPROTO_TCP
