"""A child of multiprocessing under spawn is passed a listening socket by send_handle, and passes a connection on."""

import multiprocessing as mp
import socket
from multiprocessing import reduction
from typing import Any


def child(conn: Any) -> None:
    with socket.socket(fileno=reduction.recv_handle(conn)) as listener:
        conn.send(listener.getsockname()[1])
        listener.accept()[0].sendall(b"served by the child")
    given = conn.recv()
    given.send("by the passed connection")
    given.close()


if __name__ == "__main__":
    mp.set_start_method("spawn")
    ours, theirs = mp.Pipe()
    other = mp.Process(target=child, args=(theirs,))
    other.start()
    theirs.close()
    listener = socket.create_server(("127.0.0.1", 0))
    reduction.send_handle(ours, listener.fileno(), other.pid)
    port = ours.recv()
    listener.close()
    print(socket.create_connection(("127.0.0.1", port)).recv(100), flush=True)
    mine, passed = mp.Pipe()
    ours.send(passed)
    print(mine.recv(), flush=True)
    other.join()
    print("exit", other.exitcode, flush=True)
