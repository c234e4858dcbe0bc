# needs: libc
import ctypes


def call(function, *arguments):
    """A function of the C library, where Python's own would not let the arguments or the result through."""
    function.restype = ctypes.c_ssize_t if function.__name__ in ("read", "write", "recv", "send", "pread", "sendmsg", "recvmsg") else ctypes.c_int
    ctypes.set_errno(0)
    value = function(*arguments)
    if value == -1:
        raise OSError(ctypes.get_errno(), function.__name__)
    return value
