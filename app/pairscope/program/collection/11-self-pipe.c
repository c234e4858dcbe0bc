/* A signal becomes a byte in a pipe, so that poll can wait for it. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int own[2];

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;

    if (write(own[1], &byte, 1) < 0) {
        /* full: there is a byte to wake up for already */
    }
    errno = saved;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    unsigned char byte;

    if (pipe2(own, O_NONBLOCK | O_CLOEXEC) < 0)
        err(1, "pipe2");
    sigaction(SIGUSR1, &action, NULL);

    if (fork() == 0) {
        kill(getppid(), SIGUSR1);
        return 0;
    }

    struct pollfd wakes = { .fd = own[0], .events = POLLIN };
    while (poll(&wakes, 1, -1) < 0 && errno == EINTR)
        ;
    while (read(own[0], &byte, 1) == 1)
        dprintf(1, "signal %d came through the pipe\n", byte);
    wait(NULL);
    return 0;
}
