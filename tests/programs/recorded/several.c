/* Calls that carry several things at once: vectors, messages, sets of descriptors; and those between two descriptors. */
#include "pass.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

int main(void)
{
	int ends[2], one[2], other[2], fd = memfd_create("several", 0);
	char a[3], b[8];
	struct iovec out[2] = { { "abc", 3 }, { "defgh", 5 } }, in[2] = { { a, 3 }, { b, 8 } };
	struct mmsghdr messages[2] = { { .msg_hdr = { .msg_iov = out, .msg_iovlen = 2 } }, { .msg_hdr = { .msg_iov = out, .msg_iovlen = 1 } } };
	union room room = { .align = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) } };
	struct timeval second = { 1, 500 };
	struct timespec forever = { 2, 7 };
	struct pollfd polled;
	fd_set set;
	sigset_t some;
	struct itimerspec timer = { { 0, 5 }, { 3, 1 } };
	siginfo_t how;
	pid_t child;

	pair(ends, SOCK_DGRAM), pipe(one), pipe(other);
	writev(one[1], out, 2), readv(one[0], in, 2);
	pwritev(fd, out, 2, 4), preadv(fd, in, 2, 4);
	memcpy(CMSG_DATA(&room.align), &fd, sizeof fd);
	messages[1].msg_hdr.msg_control = &room, messages[1].msg_hdr.msg_controllen = CMSG_SPACE(sizeof fd);
	printf("sent %d\n", sendmmsg(ends[0], messages, 2, 0));
	memset(&room, 0, sizeof room);
	messages[0].msg_hdr.msg_iov = messages[1].msg_hdr.msg_iov = in;
	printf("came %d\n", recvmmsg(ends[1], messages, 2, 0, NULL));
	writev(one[1], out, 1);
	tee(one[0], other[1], 2, 0), splice(one[0], NULL, other[1], NULL, 3, 0);
	lseek(fd, 4, SEEK_SET), sendfile(other[1], fd, NULL, 4);
	FD_ZERO(&set);
	FD_SET(other[0], &set);
	FD_SET(one[0], &set);
	printf("ready %d\n", select(other[0] + 1, &set, NULL, NULL, &second));
	FD_ZERO(&set);
	FD_SET(other[1], &set);
	pselect(other[1] + 1, NULL, &set, NULL, &forever, NULL);
	polled.fd = other[0], polled.events = POLLIN;
	ppoll(&polled, 1, NULL, NULL);
	close(epoll_create1(0));
	kill(getpid(), SIGURG);
	sigemptyset(&some), sigaddset(&some, SIGURG), sigaddset(&some, SIGUSR1);
	close(signalfd(-1, &some, SFD_CLOEXEC));
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(fd, 0, &timer, NULL);
	if (!(child = fork()))
		_exit(7);
	waitid(P_PID, child, &how, WEXITED);
	return 0;
}
