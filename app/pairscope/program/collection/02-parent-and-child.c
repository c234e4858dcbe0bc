/* A parent writes to its child, and waits for its end. */
#include <err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int child(int end)
{
    char text[64];
    ssize_t got;

    while ((got = read(end, text, sizeof text)) > 0)
        dprintf(1, "child: %.*s\n", (int)got, text);
    dprintf(1, "child: nobody can write to me any more\n");
    return 7;
}

int main(void)
{
    int end[2], status;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) < 0)
        err(1, "socketpair");

    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0) {
        close(end[0]);
        return child(end[1]);
    }

    close(end[1]);
    if (write(end[0], "hello, child", 12) < 0)
        err(1, "write");
    close(end[0]);

    waitpid(pid, &status, 0);
    dprintf(1, "parent: it ended with %d\n", WEXITSTATUS(status));
    return 0;
}
