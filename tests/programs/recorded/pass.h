/* Sends and receives one descriptor, for the programs beside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

union room {
	char bytes[CMSG_SPACE(4 * sizeof(int))];
	struct cmsghdr align;
};

static inline int pass(int to, int fd)
{
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	union room room;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = CMSG_SPACE(sizeof fd) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	memset(&room, 0, sizeof room);
	head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	return sendmsg(to, &message, MSG_NOSIGNAL);
}

static inline int take(int from, int flags)
{
	char byte;
	int fd = -1;
	struct iovec iov = { &byte, 1 };
	union room room;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room };

	if (recvmsg(from, &message, flags) <= 0)
		return -1;
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static inline int pair(int ends[2], int type)
{
	return socketpair(AF_UNIX, type, 0, ends);
}

/* Waits for the end of a pipe at most two seconds: a duplicate that somebody kept would withhold it. */
static inline void end_of(const char *what, int fd)
{
	struct pollfd one = { fd, POLLIN, 0 };
	char byte;
	int came = poll(&one, 1, 2000);

	printf("%s: %s\n", what, came == 1 && read(fd, &byte, 1) == 0 ? "end" : "no end");
	close(fd);
}
