/* needs: say, name_of */
#include <string.h>
#include <sys/socket.h>

/* Of numbers that differ from run to run, what they are. */
static void say_creds(const char *key, const void *data)
{
	struct ucred creds;

	memcpy(&creds, data, sizeof(creds));
	say(" %s=[%s, %s, %s]", key, name_of(creds.pid), creds.uid == (uid_t)-1 ? "-1" : "uid", creds.gid == (gid_t)-1 ? "-1" : "gid");
}
