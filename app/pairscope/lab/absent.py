"""System calls of Linux that no scenario can make, so that an error can tell what exists and is not here from a word
that is none."""

from __future__ import annotations

from pairscope.lab.calls import CALLS
from pairscope.sentence import phrase


def _without_ours(names: list[str]) -> frozenset[str]:
    """A call that the lab has got since is not absent."""
    return frozenset(names) - set(CALLS)


LINUX = _without_ours(
    "_llseek _newselect _sysctl accept4 access acct add_key adjtimex afs_syscall alarm arch_prctl bdflush bpf "
        "brk cachestat capget capset chdir chmod chown "
    "chroot clock_adjtime clock_getres clock_gettime clock_nanosleep clock_settime clone clone3 close_range "
        "copy_file_range creat create_module "
    "delete_module epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
        "epoll_wait_old eventfd2 execve execveat "
    "exit_group faccessat faccessat2 fadvise64 fallocate fanotify_init fanotify_mark fchdir fchmod fchmodat "
        "fchmodat2 fchown fchownat fdatasync fgetxattr "
    "file_getattr file_setattr finit_module flistxattr flock fremovexattr fsconfig fsetxattr fsmount fsopen "
        "fspick fstat fstatat64 fstatfs fsync futex "
    "futex_requeue futex_wait futex_waitv futex_wake futimesat get_kernel_syms get_mempolicy get_robust_list "
        "get_thread_area getcpu getcwd getdents "
    "getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getpmsg getppid "
        "getpriority getrandom getresgid getresuid "
    "getrlimit getrusage getsid getsockname gettid gettimeofday getuid getxattr getxattrat init_module "
        "inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter "
        "io_uring_register io_uring_setup ioctl ioperm iopl "
    "ioprio_get ioprio_set ipc kcmp kexec_file_load kexec_load keyctl landlock_add_rule "
        "landlock_create_ruleset landlock_restrict_self lchown lgetxattr "
    "link linkat listmount listxattr listxattrat llistxattr lookup_dcookie lremovexattr lsetxattr "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr "
    "lstat madvise map_shadow_stack mbind membarrier memfd_secret migrate_pages mincore mkdir mkdirat mknod "
        "mknodat mlock mlock2 mlockall mmap mmap2 "
    "modify_ldt mount mount_setattr move_mount move_pages mprotect mq_getsetattr mq_notify mq_open "
        "mq_timedreceive mq_timedsend mq_unlink mremap mseal "
    "msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat "
        "nfsservctl nice oldfstat oldstat open_by_handle_at "
    "open_tree open_tree_attr openat openat2 pause perf_event_open personality pidfd_getfd pivot_root "
        "pkey_alloc pkey_free pkey_mprotect ppoll prctl "
    "pread64 preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev "
        "pselect6 ptrace putpmsg pwrite64 pwritev pwritev2 "
    "query_module quotactl quotactl_fd readahead readlink readlinkat readv reboot recvfrom recvmmsg "
        "remap_file_pages removexattr removexattrat rename "
    "renameat renameat2 request_key restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask "
        "rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
    "rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity "
        "sched_getattr sched_getparam sched_getscheduler "
    "sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield "
        "seccomp select semctl semget semop semtimedop "
    "sendfile sendmmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area "
        "set_tid_address setdomainname setfsgid setfsuid setgid "
    "setgroups sethostname setitimer setns setpgid setpriority setregid setresgid setresuid setreuid setrlimit "
        "setsid settimeofday setuid setxattr "
    "setxattrat sgetmask shmat shmctl shmdt shmget sigaction sigaltstack signalfd signalfd4 sigpending "
        "sigprocmask sigreturn sigsuspend socketcall splice "
    "ssetmask stat statfs statmount statx stime swapoff swapon symlink symlinkat sync sync_file_range "
        "sync_file_range2 syncfs sysfs sysinfo syslog tee "
    "tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create "
        "timerfd_gettime timerfd_settime times tkill truncate "
    "umask umount2 uname unlink unlinkat unshare uretprobe uselib userfaultfd ustat utime utimensat utimes "
        "vfork vhangup vmsplice wait4 waitid writev".split()
)  # fmt: skip
"""Of Linux 6.18 on machines of 64 and of 32 bits, by their names in asm/unistd.h, without those of a scenario."""

INSTEAD = {
    "_exit": "exit", "_Exit": "exit", "exit_group": "exit",
    "accept4": "accept, then fcntl",
    "clone": "fork or thread", "clone3": "fork or thread", "vfork": "fork", "pthread_create": "thread",
    "creat": "open", "openat": "open", "openat2": "open", "tmpfile": "memfd_create",
    "epoll_create": "poll", "epoll_create1": "poll", "epoll_ctl": "poll", "epoll_wait": "poll",
    "epoll_pwait": "poll", "epoll_pwait2": "poll",
    "ppoll": "poll", "select": "poll", "pselect6": "poll", "pselect": "poll",
    "eventfd2": "eventfd",
    "pread64": "pread", "pwrite64": "pwrite", "preadv": "pread", "preadv2": "pread",
    "pwritev": "pwrite", "pwritev2": "pwrite",
    "readv": "recvmsg, with its iov=", "recvmmsg": "recvmsg", "recvfrom": "recv",
    "writev": "sendmsg, with its iov=", "sendmmsg": "sendmsg", "sendto": "send",
    "rt_sigaction": "signal", "sigaction": "signal",
    "tkill": "kill", "tgkill": "kill", "raise": "kill", "pthread_kill": "kill",
    "wait3": "wait", "wait4": "waitpid", "waitid": "waitpid",
}  # fmt: skip
"""What a scenario has in place of a call, or of a function of the C library."""


FUNCTIONS = _without_ours(
    "abort asprintf closedir closelog daemon dprintf exec execl execle execlp execv execvp execvpe fclose "
        "fdopen fflush fgets fopen fprintf fputs fread free fscanf fwrite "
    "getenv getline gets htons inet_pton isatty lockf longjmp malloc memcpy memset mkfifo mkstemp mq_close "
        "mq_receive mq_send opendir pclose perror popen posix_spawn "
    "printf psignal pthread_cancel pthread_detach pthread_exit pthread_join pthread_mutex_lock pthread_sigmask "
        "puts readdir realloc sem_init sem_open sem_post sem_wait setenv setjmp "
    "shm_open shm_unlink sigaddset sigemptyset siginterrupt sigqueue sigwait sleep snprintf sprintf strcpy "
        "strerror strlen strsignal system unsetenv usleep vfprintf".split()
)  # fmt: skip
"""Of the C library's own functions, manual section 3, those that stand in programs beside its calls."""


def absent(word: str) -> tuple[str, str] | None:
    """What is wrong with a word where a call should stand, and what the lab has instead (empty: nothing); None: it is
    no call of Linux."""
    if word in LINUX:
        return phrase("%(call)s, a system call that the lab does not have", call=word), INSTEAD.get(word, "")
    if word in INSTEAD or word in FUNCTIONS:
        return phrase("%(call)s, a function of the C library", call=word), INSTEAD.get(word, "")
    return None
