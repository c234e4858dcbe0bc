/* A server with poll: one process, and a table of who may be ready. */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLIENTS = 2 };

static struct sockaddr_un name = { AF_UNIX, "door" };
static char text[16];

static void client(int number)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
        err(1, "connect");
    dprintf(fd, "client %d", number);
    if (read(fd, text, sizeof text) != 8)
        err(1, "read");
}

int main(void)
{
    struct pollfd ready[1 + CLIENTS] = { { .events = POLLIN } };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int used = 1, gone = 0;

    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0
        || listen(listener, CLIENTS) < 0)
        err(1, "bind");
    for (int i = 1; i <= CLIENTS; i++)
        if (fork() == 0) {
            client(i);
            return 0;
        }

    ready[0].fd = listener;
    while (gone < CLIENTS) {
        if (poll(ready, (nfds_t)used, -1) < 0)
            err(1, "poll");
        for (int i = used - 1; i > 0; i--) {
            if (!ready[i].revents)
                continue;
            ssize_t got = read(ready[i].fd, text, sizeof text);
            if (got > 0 && write(ready[i].fd, text, (size_t)got) > 0)
                continue;
            close(ready[i].fd);
            ready[i].fd = -1;       /* poll passes over it */
            gone++;
        }
        if (ready[0].revents)
            ready[used++] = (struct pollfd){
                accept(listener, NULL, NULL), POLLIN, 0 };
    }
    dprintf(1, "%d clients had their echo\n", gone);
    while (wait(NULL) > 0)
        ;
    unlink(name.sun_path);
    return 0;
}
