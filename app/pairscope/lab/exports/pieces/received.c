#include <string.h>
#include <sys/socket.h>

/* Takes the descriptors out of a message that has come; how many there are. They are open, wanted or not. cmsg(3) */
static int received(struct msghdr *message, int *fds, int most)
{
	int count = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || @RIGHTS@)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= cmsg->cmsg_len && count < most; at += sizeof(int))
			memcpy(&fds[count++], (char *)cmsg + at, sizeof(int));
	}
	return count;
}
