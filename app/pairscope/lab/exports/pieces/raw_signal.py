# needs: libc
import ctypes


def raw_signal(number, what):
    """signal(2) in a thread, where Python has it only for the first one. The handler is a function of the C library that does nothing."""
    nothing = ctypes.cast(libc.abs, ctypes.c_void_p).value
    libc.signal.restype = ctypes.c_void_p
    ctypes.set_errno(0)
    found = libc.signal(number, ctypes.c_void_p({"SIG_DFL": 0, "SIG_IGN": 1, "HANDLER": nothing}[what]))
    if found == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "signal")
    return {None: "SIG_DFL", 1: "SIG_IGN"}.get(found, "HANDLER")
