/* Makes system calls fail, or wait, as their kernel may: LD_PRELOAD. What fails is told by a page that is shared with
 * the test, named by FAULTS: for each call its error (0: none; -1: it waits until that changes), every how many calls,
 * how often it was asked, and how often it has failed. See tests/attack/faults.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SENDMSG, SEND, RECVMSG, WRITE, FDATASYNC, FSYNC, OPEN, FTRUNCATE, PREAD, ACCEPT, SOCKETPAIR, MEMFD, PIDFD, FSTAT, CALLS };

struct fault { volatile int error, every, asked, failed; };
static struct fault *faults;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("FAULTS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        faults = page;
}

static int fails(int call)
{
    struct fault *one = faults ? &faults[call] : 0;
    if (!one || !one->error || !one->every || ++one->asked % one->every)
        return 0;
    one->failed++;
    if (one->error > 0) {
        errno = one->error;
        return 1;
    }
    while (one->error < 0)
        usleep(1000);
    return 0;
}

#define SHIM(number, type, name, arguments, passed)                                                                    \
    type name arguments                                                                                                \
    {                                                                                                                  \
        static type(*real) arguments;                                                                                  \
        if (!real)                                                                                                     \
            real = (type(*) arguments)dlsym(RTLD_NEXT, #name);                                                         \
        return fails(number) ? (type)-1 : real passed;                                                                 \
    }

SHIM(SENDMSG, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
SHIM(SEND, ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
SHIM(RECVMSG, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
SHIM(WRITE, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
SHIM(FDATASYNC, int, fdatasync, (int fd), (fd))
SHIM(FSYNC, int, fsync, (int fd), (fd))
SHIM(FTRUNCATE, int, ftruncate, (int fd, off_t size), (fd, size))
SHIM(FTRUNCATE, int, ftruncate64, (int fd, off64_t size), (fd, size))
SHIM(PREAD, ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
SHIM(ACCEPT, int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
SHIM(SOCKETPAIR, int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
SHIM(MEMFD, int, memfd_create, (const char *name, unsigned flags), (name, flags))
SHIM(FSTAT, int, fstat64, (int fd, struct stat64 *status), (fd, status))

int open64(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    __builtin_va_list rest;
    __builtin_va_start(rest, flags);
    int mode = __builtin_va_arg(rest, int);
    __builtin_va_end(rest);
    if (!real)
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    return fails(OPEN) ? -1 : real(path, flags, mode);
}
