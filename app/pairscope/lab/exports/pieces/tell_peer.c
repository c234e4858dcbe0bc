/* needs: say, say_creds */
#include <sys/socket.h>

static void tell_peer(int value, const struct ucred *peer);

static void tell_peer(int value, const struct ucred *peer)
{
	if (came(value))
		say_creds("value", peer);
	done();
}
