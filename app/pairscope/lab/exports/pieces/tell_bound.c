/* needs: say, datagrams */
#include <netinet/in.h>
#include <sys/socket.h>

static void tell_bound(int value, int number);

static void tell_bound(int value, int number)
{
	struct sockaddr_in6 address;    /* larger than sockaddr_in, and the port stands at the same place */
	socklen_t length = sizeof(address);

	if (came(value) && getsockname(number, (struct sockaddr *)&address, &length) == 0)
		stage->port[address.sin6_family == AF_INET6][datagrams(number)] = address.sin6_port;
	done();
}
