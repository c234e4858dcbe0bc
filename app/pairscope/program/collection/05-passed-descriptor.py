# A child opens a file and passes the descriptor to its parent.
import os
import socket

PACKETS = socket.AF_UNIX, socket.SOCK_SEQPACKET
parents, childs = socket.socketpair(*PACKETS)

if os.fork() == 0:
    file = os.open("note", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(file, b"written by the child")
    socket.send_fds(childs, [b"!"], [file])
    os._exit(0)

_, (file,), _, _ = socket.recv_fds(parents, 1, maxfds=1)
os.wait()
text = os.pread(file, 32, 0)
print(f"descriptor {file}: {text.decode()}", flush=True)
os.unlink("note")
