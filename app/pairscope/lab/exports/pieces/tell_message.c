/* needs: say_data, say_bits, received */
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void tell_message(ssize_t value, struct msghdr *message, ...);

static void tell_message(ssize_t value, struct msghdr *message, ...)
{
	static const struct bit bits[] = {
@MESSAGE_FLAGS@
	};
	char text[@SHOWN@ + 1];
	size_t length = 0, left = value > 0 ? (size_t)value : 0;
	int fds[@MOST_FDS@], count;
	va_list list;

	if (!came(value)) {
		done();
		return;
	}
	for (size_t i = 0; message->msg_iov && i < message->msg_iovlen; i++) {
		const struct iovec *piece = &message->msg_iov[i];
		size_t held = left < piece->iov_len ? left : piece->iov_len;
		size_t kept = held < sizeof(text) - length ? held : sizeof(text) - length;

		memcpy(text + length, piece->iov_base, kept);
		length += kept;
		left -= held;
	}
	if (message->msg_iov || message->msg_iovlen == 0 || value == 0)
		say_data(text, length);
	say(" flags=");
	say_bits((unsigned int)message->msg_flags & ~(unsigned int)MSG_CMSG_CLOEXEC, bits, sizeof(bits) / sizeof(*bits));
	count = received(message, fds, @MOST_FDS@);
	for (int i = 0; i < count; i++)
		say("%s%d%s", i ? ", " : " fds=[", fds[i], i + 1 < count ? "" : "]");
	va_start(list, message);
	for (int i = 0, *name; (name = va_arg(list, int *)) && i < count; i++)
		*name = fds[i];
	va_end(list);
	@CREDS@
	done();
}
