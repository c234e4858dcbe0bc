import ctypes

BADPTR = ctypes.c_void_p(1)  # an address that nothing is mapped at
