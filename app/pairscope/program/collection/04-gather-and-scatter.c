/* sendmsg gathers pieces of memory; recvmsg scatters them again,
 * wherever the borders of its own pieces are. */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static struct iovec piece(char *text, size_t size)
{
    return (struct iovec){ .iov_base = text, .iov_len = size };
}

int main(void)
{
    int end[2];
    char first[] = "it is", second[] = " a ", third[] = "test";
    char head[8], rest[16];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, end) < 0)
        err(1, "socketpair");

    struct iovec out[] = {
        piece(first, strlen(first)),
        piece(second, strlen(second)),
        piece(third, strlen(third)),
    };
    struct msghdr sent = { .msg_iov = out, .msg_iovlen = 3 };
    ssize_t n = sendmsg(end[0], &sent, 0);
    if (n < 0)
        err(1, "sendmsg");
    dprintf(1, "sent %zd bytes in 3 pieces\n", n);

    struct iovec in[] = {
        piece(head, sizeof head),
        piece(rest, sizeof rest),
    };
    struct msghdr got = { .msg_iov = in, .msg_iovlen = 2 };
    n = recvmsg(end[1], &got, 0);
    if (n < (ssize_t)sizeof head)
        err(1, "recvmsg");
    dprintf(1, "received %zd: \"%.8s\" and \"%.*s\"\n",
            n, head, (int)(n - 8), rest);
    return 0;
}
