/* What a shell does for: echo one two three | wc -w */
#include <err.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(int from, int to, int other, char **words)
{
    pid_t pid = fork();

    if (pid < 0)
        err(1, "fork");
    if (pid > 0)
        return pid;
    dup2(from, STDIN_FILENO);
    dup2(to, STDOUT_FILENO);
    close(other);                   /* or wc would never see the end */
    execvp(words[0], words);
    err(127, "%s", words[0]);
}

int main(void)
{
    char *echo[] = { "echo", "one two three", NULL };
    char *wc[] = { "wc", "-w", NULL };
    int status, end[2];

    if (pipe(end) < 0)
        err(1, "pipe");
    start(STDIN_FILENO, end[1], end[0], echo);
    pid_t last = start(end[0], STDOUT_FILENO, end[1], wc);
    close(end[0]);
    close(end[1]);

    waitpid(last, &status, 0);
    wait(NULL);
    return WEXITSTATUS(status);     /* a shell's $? is the last one's */
}
