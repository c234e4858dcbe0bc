/* Three workers, born beforehand, accept from one listening socket. */
#include <err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, CLIENTS = 6 };

static struct sockaddr_un name = { AF_UNIX, "door" };

static void serve(int listener, int worker)
{
    int client;

    while ((client = accept(listener, NULL, NULL)) >= 0) {
        dprintf(client, "worker %d", worker);
        close(client);
    }
}

int main(void)
{
    char text[32];
    int served = 0, listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0
        || listen(listener, CLIENTS) < 0)
        err(1, "bind");

    for (int i = 1; i <= WORKERS; i++)
        if (fork() == 0) {
            serve(listener, i);
            return 0;
        }

    for (int i = 0; i < CLIENTS; i++) {
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(client, (struct sockaddr *)&name, sizeof name) < 0)
            err(1, "connect");
        served += read(client, text, sizeof text) == 8;
        close(client);
    }
    dprintf(1, "%d of %d were served\n", served, CLIENTS);

    shutdown(listener, SHUT_RDWR);  /* wakes everybody in accept */
    while (wait(NULL) > 0)
        ;
    unlink(name.sun_path);
    return 0;
}
