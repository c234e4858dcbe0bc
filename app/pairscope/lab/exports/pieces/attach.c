#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

/* Lays a control message beside the bytes of a message: its header, its data, and padding up to the next. cmsg(3) */
static struct cmsghdr *attach(struct msghdr *message, int type, const void *data, size_t length)
{
	alignas(struct cmsghdr) static _Thread_local char room[@ROOM@];
	struct cmsghdr *cmsg = (struct cmsghdr *)(room + message->msg_controllen);

	if (message->msg_controllen == 0)
		memset(room, 0, sizeof(room));
	message->msg_control = room;
	message->msg_controllen += CMSG_SPACE(length);
	cmsg->cmsg_len = CMSG_LEN(length);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = type;
	memcpy(CMSG_DATA(cmsg), data, length);
	return cmsg;
}
