/* needs: say_number */
#include <netinet/in.h>
#include <sys/socket.h>

static void tell_protocol(int value, const int *protocol);

static void tell_protocol(int value, const int *protocol)
{
	static const struct number names[] = {
@PROTOCOL@
	};

	if (came(value))
		say_number(*protocol, names, sizeof(names) / sizeof(*names));
	done();
}
