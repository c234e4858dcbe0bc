#include <stdlib.h>
#include <string.h>

/* The piece, so many times. */
static char *repeated(const char *piece, size_t length, size_t times)
{
	char *text = malloc(length * times);

	for (size_t i = 0; text && i < times; i++)
		memcpy(text + i * length, piece, length);
	return text;
}
