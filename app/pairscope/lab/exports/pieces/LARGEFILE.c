/* The kernel's O_LARGEFILE. The C library has 0 for it on machines of 64 bits. */
#ifdef __aarch64__
#define LARGEFILE 0400000
#else
#define LARGEFILE 0100000
#endif
