/* Compiled with and without information on its frames. */
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static __attribute__((constructor)) void first(void) { socketpair(AF_UNIX, SOCK_STREAM, 0, ends); }

int relay(const char *text) { return write(ends[1], text, 5) == 5; }
