#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int main()
{
    int sockfd[2];
    struct iovec iov[1];
    struct msghdr msg;
    char send_buf[100] = "it is a test";
    char recv_buf[100];

    if (socketpair(AF_LOCAL, SOCK_STREAM, 0, sockfd) == -1) {
        perror("socketpair");
        return -1;
    }
    bzero(&msg, sizeof(msg));
    msg.msg_name = NULL;
    msg.msg_namelen = 0;
    iov[0].iov_base = send_buf;
    iov[0].iov_len = sizeof(send_buf);
    msg.msg_iov = iov;
    msg.msg_iovlen = 1;
    ssize_t sent = sendmsg(sockfd[1], &msg, 0);

    bzero(&msg, sizeof(msg));
    iov[0].iov_base = recv_buf;
    iov[0].iov_len = sizeof(recv_buf);
    msg.msg_iov = iov;
    msg.msg_iovlen = 1;
    ssize_t got = recvmsg(sockfd[0], &msg, 0);
    printf("sent %ld, got %ld: %s\n", (long)sent, (long)got, recv_buf);
    return 0;
}
