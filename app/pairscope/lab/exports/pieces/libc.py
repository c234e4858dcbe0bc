import ctypes

libc = ctypes.CDLL(None, use_errno=True)
