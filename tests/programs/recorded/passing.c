/* Passes: a memfd that the sender keeps, one that it has closed before the receipt, one that is peeked at first; from
 * somebody who has died; a socket that is itself in flight; to somebody who has not been accepted. */
#include "pass.h"

static void there(const char *name, int fd)
{
	char text[16] = "";

	printf("%s: %.*s\n", name, (int)pread(fd, text, sizeof text, 0), text);
	close(fd);
}

static int note(const char *text)
{
	int fd = memfd_create(text, MFD_CLOEXEC);

	if (write(fd, text, strlen(text)) < 0)
		perror("write");
	return fd;
}

int main(void)
{
	int ends[2], other[2], go[2], fd, back, status;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length;

	setvbuf(stdout, NULL, _IONBF, 0);
	pair(ends, SOCK_STREAM);
	pipe(go); /* told when the sender has closed its own */
	if (!fork()) {
		close(ends[0]);
		there("kept", take(ends[1], 0));
		if (write(ends[1], "k", 1) < 0 || read(go[0], &(char){0}, 1) != 1)
			_exit(1);
		there("closed", take(ends[1], 0));
		fd = take(ends[1], MSG_PEEK);
		there("peeked", fd);
		there("taken", take(ends[1], 0));
		_exit(0);
	}
	close(ends[1]);
	fd = note("kept"), pass(ends[0], fd);
	if (read(ends[0], &(char){0}, 1) != 1)
		return 1;
	close(fd);
	fd = note("closed"), pass(ends[0], fd), close(fd);
	fd = note("peeked"), pass(ends[0], fd), close(fd);
	if (write(go[1], "g", 1) != 1)
		return 1;
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	close(ends[0]);

	pair(ends, SOCK_SEQPACKET);
	if (!fork()) {
		fd = note("bequest"), pass(ends[1], fd);
		_exit(0);
	}
	wait(&status);
	there("from the dead", take(ends[0], 0));

	pair(other, SOCK_STREAM);
	fd = note("nested"), pass(other[0], fd), close(fd);
	pass(ends[0], other[1]), close(other[1]);
	back = take(ends[1], 0);
	there("in flight within", take(back, 0));
	close(back), close(other[0]), close(ends[0]), close(ends[1]);

	back = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(back, (struct sockaddr *)&address, sizeof(sa_family_t));
	length = sizeof address;
	getsockname(back, (struct sockaddr *)&address, &length);
	listen(back, 4);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	connect(fd, (struct sockaddr *)&address, length);
	ends[0] = note("early"), pass(fd, ends[0]), close(ends[0]), close(fd);
	ends[0] = accept(back, NULL, NULL);
	there("before it was accepted", take(ends[0], 0));
	return 0;
}
