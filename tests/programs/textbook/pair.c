#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

int main()
{
    int s[2];
    int w, r;
    char *string = "SOCKET PAIR TEST.";
    char *buf = (char *)calloc(1, 128);

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == -1) {
        printf("create unnamed socket pair failed\n");
        exit(-1);
    }
    if ((w = write(s[0], string, strlen(string))) == -1)
        exit(-1);
    if ((r = read(s[1], buf, 128)) == -1)
        exit(-1);
    printf("read: %s\n", buf);
    exit(0);
}
