/* needs: datagrams */
#include <netinet/in.h>

static in_port_t bound_port(int family, int number); /* that the last bind of such a socket was given */

static in_port_t bound_port(int family, int number)
{
	return (in_port_t)stage->port[family == AF_INET6][datagrams(number)];
}
