# What is sealed in memory stays as it is, whoever holds it.
import fcntl
import mmap
import os


def attempt(what, deed):
    try:
        deed()
        said = "it was done"
    except OSError as error:
        said = error.strerror
    print(f"{what}: {said}", flush=True)


memory = os.memfd_create("letter", os.MFD_ALLOW_SEALING)
os.write(memory, b"this will stay")
attempt("before, to write", lambda: os.pwrite(memory, b"This", 0))

seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW
seals |= fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)

attempt("sealed, to write", lambda: os.pwrite(memory, b"that", 0))
attempt("sealed, to cut", lambda: os.ftruncate(memory, 4))
attempt("sealed, to map for writing", lambda: mmap.mmap(memory, 14))

print("it holds:", os.pread(memory, 32, 0).decode(), flush=True)
