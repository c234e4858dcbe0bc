/* A pipe with a name: who opens it waits for the other side. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char text[64];
    ssize_t got;

    if (mkfifo("queue", 0600) < 0)
        err(1, "mkfifo");

    if (fork() == 0) {
        int out = open("queue", O_WRONLY);
        if (out < 0)
            err(1, "open");
        dprintf(out, "from somebody who knows the name");
        return 0;
    }

    int in = open("queue", O_RDONLY);   /* waits for a writer */
    if (in < 0)
        err(1, "open");
    while ((got = read(in, text, sizeof text)) > 0)
        dprintf(1, "%.*s\n", (int)got, text);
    dprintf(1, "the last writer has closed it\n");
    wait(NULL);
    unlink("queue");
    return 0;
}
