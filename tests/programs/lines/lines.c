/* Each text that is written stands at the line from which it must be told: tests/test_trace_lines.py. A line with no
   call of its own has a name behind it. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "header.h"

static int ends[2];
static volatile int seen;

#define SAY(text) if (write(ends[1], text, sizeof text - 1) < 0) abort()

static void handler(int number) {
    (void)number;
    SAY("handler");
    seen = 1;
}

static inline __attribute__((always_inline)) void inlined(void) {
    SAY("inlined");
}

static __attribute__((noinline)) int deep(int left) {
    if (left)
        return deep(left - 1) + 1;
    SAY("deep");
    return 0;
}

static int compared(const void *one, const void *other) {
    SAY("compared");
    return *(const char *)one - *(const char *)other;
}

static void *started(void *with) {
    SAY("thread");
    deep(seen);
    return with;
}

static void *late(void *with) {
    for (char state = 0; state != 'S'; ) { /* until the first thread waits */
        FILE *stat = fopen("/proc/self/stat", "r");
        if (!stat || fscanf(stat, "%*d %*s %c", &state) != 1) abort();
        fclose(stat);
    }
    SAY("late");
    return with;
}

static __attribute__((destructor)) void last(void) {
    SAY("destructor");
}

static __attribute__((constructor)) void first(void) {
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends); /* socketpair */
    SAY("constructor");
}

int main(int argc, char **argv) {
    (void)argv;
    SAY("direct");
    inlined();
    in_a_header(ends[1]);
    deep(20);
    char letters[] = "ba";
    qsort(letters, 2, 1, compared);
    if (syscall(SYS_write, ends[1], "number", 6) < 0) return 1;
    long came, number = SYS_write;
    __asm__ volatile("syscall" : "=a"(came) : "a"(number), "D"((long)ends[1]), "S"("assembler"), "d"(9L) : "rcx", "r11", "memory");

    pthread_t thread;
    pthread_create(&thread, NULL, started, NULL); /* pthread_create */
    pthread_join(thread, NULL);

    char room[256];
    while (recv(ends[0], room, sizeof room, MSG_DONTWAIT) > 0)
        ;
    pthread_create(&thread, NULL, late, NULL); /* again */
    if (read(ends[0], room, 4) != 4) return 1; /* waits */
    pthread_join(thread, NULL);

    signal(SIGVTALRM, handler);
    struct itimerval soon = {{0, 0}, {0, 10000}};
    setitimer(ITIMER_VIRTUAL, &soon, NULL);
    while (!seen) __asm__ volatile("nop"); /* loop */
    signal(SIGUSR1, handler);
    raise(SIGUSR1); /* raise */

    if (!fork()) {  /* fork */
        SAY("child");
        signal(SIGUSR2, _exit);
        raise(SIGUSR2);
    }
    wait(NULL);
    if (!vfork()) {  /* vfork */
        execl("/bin/true", "true", NULL); /* exec */
        _exit(1);
    }
    wait(NULL);

    dup2(ends[1], 1);
    char much[BUFSIZ + 1];
    memset(much, '.', BUFSIZ);
    much[BUFSIZ] = 0;
    printf("buffered");
    printf("%s", much); /* flush */
    fflush(stdout);
    printf("at exit");
    if (argc > 1)
        return 0;
    exit(3); /* exit */
}
