/* One process has both ends of a socket pair. */
#include <err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int end[2];
    char text[32];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) < 0)
        err(1, "socketpair");

    if (write(end[0], "hello, other end", 16) < 0)
        err(1, "write");

    ssize_t got = read(end[1], text, sizeof text);
    if (got < 0)
        err(1, "read");
    dprintf(1, "read %zd bytes: %.*s\n", got, (int)got, text);

    close(end[0]);
    got = read(end[1], text, sizeof text);
    dprintf(1, "read %zd: the other end is closed\n", got);
    return 0;
}
