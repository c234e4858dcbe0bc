/* Tries what a program in a box must not do, and says a line for each attempt: its name, and "done" or the errno.
   Arguments: a socket, a port and an abstract name of others, the pid of one of them, and files to read. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result)
{
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

static long unix_connect(const char *name, int abstract)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + abstract, name, sizeof to.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, length);
}

static long tcp_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof to);
}

static long in_clone3(unsigned long long flags)
{
    struct clone_args with = {.flags = flags, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &with, sizeof with);
    if (!pid)
        _exit(0);
    return pid;
}

static long in_clone(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (!pid)
        _exit(0);
    return pid;
}

static long read_memory(pid_t pid)
{
    char text[8];
    struct iovec here = {text, sizeof text}, there = {(void *)8, sizeof text};
    return process_vm_readv(pid, &here, 1, &there, 1, 0);
}

static long more_processes(void)
{
    struct rlimit most;
    getrlimit(RLIMIT_NPROC, &most);
    most.rlim_cur = most.rlim_max = most.rlim_max + 1;
    return setrlimit(RLIMIT_NPROC, &most);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const char *path = argv[1], *name = argv[3];
    int port = atoi(argv[2]), other = atoi(argv[4]), fd;
    char text[64];

    for (fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("fd %d\n", fd);
    for (int at = 5; at < argc; at++)
        say(argv[at], open(argv[at], O_RDONLY));
    say("connect to their socket", unix_connect(path, 0));
    say("connect to their abstract name", unix_connect(name, 1));
    say("connect to their port", tcp_connect(port));
    say("signal them", kill(other, 0));
    snprintf(text, sizeof text, "/proc/%d", other);
    say("look at them", open(text, O_RDONLY));
#ifdef OUTSIDE
    return 0;
#endif
    say("trace them", ptrace(PTRACE_SEIZE, other, 0, 0));

    say("trace the tracer", ptrace(PTRACE_SEIZE, 1, 0, 0));
    say("read the tracer's memory", read_memory(1));
    fd = open("/proc/1/cmdline", O_RDONLY);
    if (errno == EPERM)
        errno = ENOENT; /* the kernel says so where the recorder has looked at its own /proc just before */
    say("see the tracer", fd);
    say("signal the tracer", kill(1, SIGTERM));
    say("signal the tracer's thread", syscall(SYS_tgkill, 1, 1, SIGTERM));
    say("take a pidfd of the tracer", syscall(SYS_pidfd_open, 1, 0));
    say("read the recording", open("/kept/recording", O_RDONLY));

    say("unshare the user namespace", unshare(CLONE_NEWUSER));
    say("unshare the network", unshare(CLONE_NEWNET));
    say("clone into a user namespace", in_clone(CLONE_NEWUSER));
    say("clone3 into a user namespace", in_clone3(CLONE_NEWUSER));
    say("clone3 into a mount namespace", in_clone3(CLONE_NEWNS));
    say("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    say("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    say("umount", umount2("/usr", MNT_DETACH));
    say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    say("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, text, 32));
    say("pivot_root", syscall(SYS_pivot_root, ".", "."));
    say("chroot", chroot("/tmp"));
    say("mknod of a disk", mknod("disk", S_IFBLK | 0600, 0x0100));

    say("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    say("add_key", syscall(SYS_add_key, "user", "some", "key", 3, -3));
    say("bpf", syscall(SYS_bpf, 0, text, 0));
    say("io_uring_setup", syscall(SYS_io_uring_setup, 1, calloc(1, 512)));
    say("userfaultfd", syscall(SYS_userfaultfd, 1));
    say("perf_event_open", syscall(SYS_perf_event_open, text, 0, -1, -1, 0));
    say("personality", syscall(SYS_personality, 0x40000));
    say("sethostname", sethostname("x", 1));
    say("socket of netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    say("socket of packets", socket(AF_PACKET, SOCK_RAW, 0));
    say("socket of vsock", socket(40, SOCK_STREAM, 0));
    say("socket of the kernel's ciphers", socket(38, SOCK_SEQPACKET, 0));

    say("become root", setuid(0));
    say("join a group", setgroups(1, &(gid_t){0}));
    say("allow itself more processes", more_processes());
    say("write into /usr", open("/usr/new", O_CREAT | O_WRONLY, 0600));
    say("write into /", open("/new", O_CREAT | O_WRONLY, 0600));
    say("write over itself", unlink("/program/program"));
    say("write to the kernel's settings", open("/proc/sys/kernel/domainname", O_WRONLY));
    say("write to its own limits", open("/proc/self/oom_score_adj", O_WRONLY));

    if (!fork()) {
        syscall(SYS_getpid | 0x40000000);
        _exit(0);
    }
    int status = 0;
    wait(&status);
    printf("call of x32: %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "ended");
    fflush(stdout);

    for (fd = 0; fd < 256; fd++)
        close(fd > 2 ? fd : 255);
    execl("/bin/sh", "sh", "-c", "while read -r line; do case $line in Uid*|Gid*|Groups*|CapEff*|CapBnd*|NoNewPrivs*|Seccomp:*) "
          "echo $line;; esac; done < /proc/self/status; "
          "while read -r line; do echo mount $line; done < /proc/self/mounts; export -p", NULL);
    return 1;
}
