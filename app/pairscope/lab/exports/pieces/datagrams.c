#include <sys/socket.h>

/* Whether a socket is of UDP: its ports are others than those of TCP. */
static bool datagrams(int number)
{
	int type = 0;
	socklen_t length = sizeof(type);

	return getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}
