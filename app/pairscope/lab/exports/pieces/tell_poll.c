/* needs: say_bits */
#include <poll.h>

static void tell_poll(int value, const struct pollfd *fds, int count);

static void tell_poll(int value, const struct pollfd *fds, int count)
{
	static const struct bit bits[] = {
@EVENTS@
	};

	if (came(value)) {
		say(" revents=[");
		for (int i = 0; i < count; i++) {
			say("%s", i ? ", " : "");
			say_bits((unsigned short)fds[i].revents, bits, sizeof(bits) / sizeof(*bits));
		}
		say("]");
	}
	done();
}
