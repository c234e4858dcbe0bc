#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Whether a call with MSG_TRUNC writes anything: TCP counts what is asked for, and copies nothing. tcp(7) */
static bool keeps(int number)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return getsockopt(number, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_TCP;
}
