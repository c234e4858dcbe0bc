/* Becomes itself once more, at other addresses. */
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int ends[2];
    if (argc < 3)
        return execl(argv[0], argv[0], "once", argc < 2 ? (char *)0 : "twice", (char *)0);
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}
