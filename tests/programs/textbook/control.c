#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main()
{
    int s[2], p[2];
    char byte = 'x', control[CMSG_SPACE(sizeof(int))], small[8];
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { 0 };

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (fork() == 0) {
        struct cmsghdr *cmsg;
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &p[1], sizeof(int));
        sendmsg(s[1], &msg, 0);
        return 0;
    }
    /* the error: room for no descriptor */
    msg.msg_control = small;
    msg.msg_controllen = sizeof(small);
    recvmsg(s[0], &msg, 0);
    printf("flags %x, truncated: %s\n", msg.msg_flags, msg.msg_flags & MSG_CTRUNC ? "yes" : "no");
    wait(NULL);
    return 0;
}
