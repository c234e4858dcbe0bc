# Two processes count in shared memory, under one lock.
import fcntl
import mmap
import os

memory = os.memfd_create("counter")
os.ftruncate(memory, mmap.PAGESIZE)
shared = mmap.mmap(memory, mmap.PAGESIZE)

pid = os.fork()
for _ in range(100):
    # Python has no mutex in memory; a lock on the file does as well.
    fcntl.lockf(memory, fcntl.LOCK_EX)
    count = int.from_bytes(shared[:4], "little") + 1
    shared[:4] = count.to_bytes(4, "little")
    fcntl.lockf(memory, fcntl.LOCK_UN)

if pid == 0:
    os._exit(0)
os.wait()
print("counted to", int.from_bytes(shared[:4], "little"), flush=True)
