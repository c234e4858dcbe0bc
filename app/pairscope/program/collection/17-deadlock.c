/* Each waits for the other to speak first. An alarm ends it. */
#include <err.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_alarm(int number)
{
    static const char said[] =
        "a deadlock: nobody speaks for a second\n";

    (void)number;
    if (write(1, said, sizeof said - 1) < 0)
        _exit(2);
    _exit(1);
}

int main(void)
{
    int end[2];
    char text[16];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) < 0)
        err(1, "socketpair");

    pid_t pid = fork();
    int own = pid == 0 ? 1 : 0;
    close(end[1 - own]);
    if (pid > 0) {
        signal(SIGALRM, on_alarm);
        alarm(1);
    }

    /* Both begin with what the other would have to do first. */
    if (read(end[own], text, sizeof text) > 0
        && write(end[own], "after you", 9) > 0)
        wait(NULL);
    return 0;
}
