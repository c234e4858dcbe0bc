/* A server with epoll: the kernel keeps the table. */
#include <err.h>
#include <stdio.h>
#include <sys/epoll.h>
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

static void watch(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        err(1, "epoll_ctl");
}

int main(void)
{
    struct epoll_event ready[8];
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int gone = 0;

    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0
        || listen(listener, CLIENTS) < 0)
        err(1, "bind");
    for (int i = 1; i <= CLIENTS; i++)
        if (fork() == 0) {
            client(i);
            return 0;
        }

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener);
    while (gone < CLIENTS) {
        int count = epoll_wait(epoll, ready, 8, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                watch(epoll, accept(listener, NULL, NULL));
                continue;
            }
            ssize_t got = read(fd, text, sizeof text);
            if (got > 0 && write(fd, text, (size_t)got) > 0)
                continue;
            close(fd);              /* and epoll forgets it */
            gone++;
        }
    }
    dprintf(1, "%d clients had their echo\n", gone);
    while (wait(NULL) > 0)
        ;
    unlink(name.sun_path);
    return 0;
}
