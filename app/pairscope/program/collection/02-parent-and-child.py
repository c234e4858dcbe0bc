# A parent writes to its child, and waits for its end.
import os
import socket


def child(end):
    while text := end.recv(64):
        print("child:", text.decode(), flush=True)
    print("child: nobody can write to me any more", flush=True)
    os._exit(7)


parents, childs = socket.socketpair()

pid = os.fork()
if pid == 0:
    parents.close()
    child(childs)

childs.close()
parents.send(b"hello, child")
parents.close()

_, status = os.waitpid(pid, 0)
print("parent: it ended with", os.WEXITSTATUS(status), flush=True)
