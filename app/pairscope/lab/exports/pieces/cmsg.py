import socket
import struct


def cmsg(kind, data, length=None):
    """A control message: header, data, padding. `length`: what its header claims. cmsg(3)"""
    header = struct.pack("=QII", (16 + len(data) if length is None else length) % (1 << 64), socket.SOL_SOCKET, kind)
    return header + data + bytes(-len(data) % 8)
