/* needs: say */

/* The first @SHOWN@ bytes in quotes. */
static void say_data(const char *data, size_t length)
{
	say(" \"");
	for (size_t i = 0; i < length && i < @SHOWN@; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte == '"' || byte == '\\')
			say("\\%c", byte);
		else if (byte == '\n')
			say("\\n");
		else
			say(byte >= ' ' && byte <= '~' ? "%c" : "\\x%02x", byte);
	}
	say(length > @SHOWN@ ? "\"..." : "\"");
}
