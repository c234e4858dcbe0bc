#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main()
{
    int s[2], i = 0;
    char buf[128];
    pid_t pid;

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    if ((pid = fork()) > 0) {
        close(s[1]);
        while (1) {
            sprintf(buf, "message %d", i++);
            write(s[0], buf, strlen(buf) + 1);
            usleep(1000);
        }
    } else if (pid == 0) {
        close(s[0]);
        while (1) {
            read(s[1], buf, sizeof(buf));
            printf("child got: %s\n", buf);
            fflush(stdout);
        }
    }
    return 0;
}
