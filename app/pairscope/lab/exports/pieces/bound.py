import socket


def bound(sock):
    """Keeps the port for whoever connects."""
    stage.port[sock.family == socket.AF_INET6][sock.type == socket.SOCK_DGRAM] = sock.getsockname()[1]
