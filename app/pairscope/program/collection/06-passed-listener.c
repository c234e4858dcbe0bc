/* A parent binds a socket, and passes it to a child that accepts. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un name = { AF_UNIX, "door" };
static struct {
    struct cmsghdr header;
    int fd;
} rights = { { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS }, -1 };
static char byte = '!';
static struct iovec part = { &byte, 1 };
static struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1,
    .msg_control = &rights, .msg_controllen = sizeof rights,
};

static void serve(int end)
{
    if (recvmsg(end, &message, 0) < 0 || !CMSG_FIRSTHDR(&message))
        err(1, "recvmsg");
    int client = accept(rights.fd, NULL, NULL);
    if (client < 0 || write(client, "at your service", 15) < 0)
        err(1, "accept");
}

int main(void)
{
    int end[2];
    char text[32];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end) < 0)
        err(1, "socketpair");
    if (fork() == 0) {
        close(end[0]);
        serve(end[1]);
        return 0;
    }
    close(end[1]);

    rights.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(rights.fd, (struct sockaddr *)&name, sizeof name) < 0
        || listen(rights.fd, 4) < 0)
        err(1, "bind");
    if (sendmsg(end[0], &message, 0) < 0)
        err(1, "sendmsg");
    close(rights.fd);               /* the child's is still open */

    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&name, sizeof name) < 0)
        err(1, "connect");
    ssize_t got = read(client, text, sizeof text);
    dprintf(1, "the child says: %.*s\n", (int)got, text);
    wait(NULL);
    unlink(name.sun_path);
    return 0;
}
