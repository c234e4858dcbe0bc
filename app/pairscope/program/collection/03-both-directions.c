/* A question goes one way and its answer the other, on one pair. */
#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(int end)
{
    char word[32];
    ssize_t got;

    while ((got = recv(end, word, sizeof word, 0)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            word[i] = (char)toupper((unsigned char)word[i]);
        if (send(end, word, (size_t)got, MSG_NOSIGNAL) < 0)
            err(1, "send");
    }
}

int main(void)
{
    const char *words[] = { "one", "two", "three" };
    char said[32];
    int end[2];

    /* SEQPACKET keeps each message apart from the next. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end) < 0)
        err(1, "socketpair");

    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0) {
        close(end[0]);
        answer(end[1]);
        return 0;
    }
    close(end[1]);

    for (int i = 0; i < 3; i++) {
        if (send(end[0], words[i], strlen(words[i]), 0) < 0)
            err(1, "send");
        ssize_t got = recv(end[0], said, sizeof said, 0);
        dprintf(1, "%s -> %.*s\n", words[i], (int)got, said);
    }
    shutdown(end[0], SHUT_WR);
    waitpid(pid, NULL, 0);
    return 0;
}
