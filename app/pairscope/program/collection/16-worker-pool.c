/* A pool of workers in twenty lines: one socket pair, one queue. */
#include <err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, TASKS = 9 };

int main(void)
{
    int pair[2], task, sum = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        err(1, "socketpair");
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0) {
            close(pair[0]);
            /* Whoever is free takes the next message, whole. */
            while (read(pair[1], &task, sizeof task) > 0) {
                task = task * task;
                if (write(pair[1], &task, sizeof task) < 0)
                    err(1, "write");
            }
            return 0;
        }
    close(pair[1]);
    for (task = 1; task <= TASKS; task++)
        if (write(pair[0], &task, sizeof task) < 0)
            err(1, "write");
    for (int i = 0, done; i < TASKS; i++)
        sum += read(pair[0], &done, sizeof done) > 0 ? done : 0;
    close(pair[0]);
    while (wait(NULL) > 0)
        ;
    dprintf(1, "the squares of 1 to %d are %d together\n", TASKS, sum);
    return 0;
}
