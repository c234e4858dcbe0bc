/* Three children end; SIGCHLD tells of them, though not of each. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 3 };

static volatile sig_atomic_t signals;

static void on_child(int number)
{
    (void)number;
    signals++;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_child };
    sigset_t blocked, before;
    int status, reaped = 0;
    pid_t pid;

    /* Blocked from here on, but while sigsuspend waits. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGCHLD, &action, NULL);

    for (int i = 1; i <= CHILDREN; i++) {
        if ((pid = fork()) < 0)
            err(1, "fork");
        if (pid == 0)
            _exit(10 + i);
    }

    while (reaped < CHILDREN) {
        sigsuspend(&before);
        /* One signal may stand for several ends. */
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            reaped++;
            dprintf(1, "a child ended with %d\n",
                    WEXITSTATUS(status));
        }
    }
    dprintf(1, "%d ends, at most as many signals: %s\n",
            reaped, signals <= reaped ? "yes" : "no");
    return 0;
}
