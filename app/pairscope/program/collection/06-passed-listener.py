# A parent binds a socket, and passes it to a child that accepts.
import os
import socket

PACKETS = socket.AF_UNIX, socket.SOCK_SEQPACKET
parents, childs = socket.socketpair(*PACKETS)

if os.fork() == 0:
    _, (number,), _, _ = socket.recv_fds(childs, 1, maxfds=1)
    listener = socket.socket(fileno=number)
    client, _ = listener.accept()
    client.send(b"at your service")
    os._exit(0)

listener = socket.socket(socket.AF_UNIX)
listener.bind("door")
listener.listen(4)
socket.send_fds(parents, [b"!"], [listener.fileno()])
listener.close()  # the child's is still open

client = socket.socket(socket.AF_UNIX)
client.connect("door")
text = client.recv(32)
print("the child says:", text.decode(), flush=True)
os.wait()
os.unlink("door")
