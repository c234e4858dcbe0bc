/* A child opens a file and passes the descriptor to its parent. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static union {
    struct cmsghdr header;          /* for its alignment */
    char room[CMSG_SPACE(sizeof(int))];
} control;
static char byte = '!';             /* a message needs one at least */
static struct iovec part = { &byte, 1 };
static struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1,
    .msg_control = &control, .msg_controllen = sizeof control,
};

static void pass(int end, int fd)
{
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(end, &message, 0) < 0)
        err(1, "sendmsg");
}

static int take(int end)
{
    int fd;

    if (recvmsg(end, &message, MSG_CMSG_CLOEXEC) < 0)
        err(1, "recvmsg");
    if (!CMSG_FIRSTHDR(&message))
        errx(1, "no descriptor came");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return fd;
}

int main(void)
{
    int end[2];
    char text[32];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end) < 0)
        err(1, "socketpair");
    if (fork() == 0) {
        int file = open("note", O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || write(file, "written by the child", 20) < 0)
            err(1, "note");
        pass(end[1], file);
        return 0;
    }
    close(end[1]);

    int file = take(end[0]);
    ssize_t got = pread(file, text, sizeof text, 0);
    dprintf(1, "descriptor %d: %.*s\n", file, (int)got, text);
    wait(NULL);
    unlink("note");
    return 0;
}
