/* What is sealed in memory stays as it is, whoever holds it. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void attempt(const char *what, long result)
{
    dprintf(1, "%s: %s\n", what,
            result < 0 ? strerror(errno) : "it was done");
}

int main(void)
{
    char text[32];
    int memory = memfd_create("letter", MFD_ALLOW_SEALING);

    if (memory < 0 || write(memory, "this will stay", 14) < 0)
        err(1, "memfd_create");
    attempt("before, to write", pwrite(memory, "This", 4, 0));

    if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW
                                   | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        err(1, "F_ADD_SEALS");

    attempt("sealed, to write", pwrite(memory, "that", 4, 0));
    attempt("sealed, to cut", ftruncate(memory, 4));
    attempt("sealed, to map for writing",
            mmap(NULL, 14, PROT_WRITE, MAP_SHARED, memory, 0)
                == MAP_FAILED ? -1 : 0);

    ssize_t got = pread(memory, text, sizeof text, 0);
    dprintf(1, "it holds: %.*s\n", (int)got, text);
    return 0;
}
