/* Descriptors that nobody gets: closed unread, taken by read(2), no room for control data, in flight to each other alone,
 * never accepted. Each was the last to keep a pipe open, so the pipe ends. */
#include "pass.h"

int main(void)
{
	int pipes[2], ends[2], others[2], listener, fd;
	char text[8];
	struct iovec iov = { text, sizeof text };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof address;

	setvbuf(stdout, NULL, _IONBF, 0);
	pipe(pipes), pair(ends, SOCK_STREAM), pass(ends[0], pipes[1]), close(pipes[1]), close(ends[0]), close(ends[1]);
	end_of("closed unread", pipes[0]);

	pipe(pipes), pair(ends, SOCK_STREAM), pass(ends[0], pipes[1]), close(pipes[1]);
	if (read(ends[1], text, sizeof text) != 1)
		return 1;
	end_of("taken by read", pipes[0]);
	close(ends[0]), close(ends[1]);

	pipe(pipes), pair(ends, SOCK_SEQPACKET), pass(ends[0], pipes[1]), close(pipes[1]);
	recvmsg(ends[1], &message, 0);
	printf("truncated %d, ", !!(message.msg_flags & MSG_CTRUNC));
	end_of("no room for it", pipes[0]);
	close(ends[0]), close(ends[1]);

	pipe(pipes), pair(ends, SOCK_STREAM), pair(others, SOCK_STREAM);
	pass(ends[0], others[1]), pass(others[0], ends[1]), pass(ends[0], pipes[1]), close(pipes[1]);
	close(ends[0]), close(ends[1]), close(others[0]), close(others[1]);
	pair(ends, SOCK_STREAM), pass(ends[0], ends[1]), close(ends[0]), close(ends[1]); /* the collector runs at the next */
	end_of("in flight to each other", pipes[0]);

	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t));
	getsockname(listener, (struct sockaddr *)&address, &length);
	listen(listener, 4), pipe(pipes);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd, (struct sockaddr *)&address, length);
	pass(fd, pipes[1]), close(pipes[1]), close(listener);
	end_of("never accepted", pipes[0]);
	return 0;
}
