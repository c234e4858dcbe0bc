/* Two processes count in shared memory, under one mutex. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t mutex;
    int count;
};

int main(void)
{
    pthread_mutexattr_t between_processes;
    int memory = memfd_create("counter", MFD_CLOEXEC);

    if (memory < 0 || ftruncate(memory, sizeof(struct shared)) < 0)
        err(1, "memfd_create");
    struct shared *shared = mmap(NULL, sizeof *shared,
        PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (shared == MAP_FAILED)
        err(1, "mmap");

    pthread_mutexattr_init(&between_processes);
    pthread_mutexattr_setpshared(&between_processes,
                                 PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &between_processes);

    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&shared->mutex);
        shared->count++;
        pthread_mutex_unlock(&shared->mutex);
    }
    if (pid == 0)
        return 0;
    wait(NULL);
    dprintf(1, "counted to %d\n", shared->count);
    return 0;
}
