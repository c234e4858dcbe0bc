/* needs: say */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

static void tell_option(int value, const void *option, const socklen_t *length);

static void tell_option(int value, const void *option, const socklen_t *length)
{
	if (came(value)) {
		size_t size = *length == 8 || *length == 16 ? sizeof(int64_t) : sizeof(int);
		bool list = *length != sizeof(int);

		say(list ? " value=[" : " value=");
		for (size_t i = 0; i < *length / size; i++) {
			int64_t wide;
			int narrow;

			memcpy(&narrow, (const char *)option + i * size, sizeof(narrow));
			if (size == sizeof(wide))
				memcpy(&wide, (const char *)option + i * size, sizeof(wide));
			say("%s%lld", i ? ", " : "", size == sizeof(wide) ? (long long)wide : narrow);
		}
		say("%s", list ? "]" : "");
	}
	done();
}
