/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the supervisor starts, kills and buries the other processes. Each gets an exec of its own, the
 * descriptors of the table in docs/protocol.md and nothing else of the supervisor.
 */
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"
#include "worker.h"

#define FIRST_DESCRIPTOR 3
#define DESCRIPTORS_MAX 7
#define OUT_OF_THE_WAY (FIRST_DESCRIPTOR + DESCRIPTORS_MAX)
#define EXIT_CANNOT_START 71

int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Put the descriptors in their places, in two moves because places and sources may overlap; close all others. */
static int place_descriptors(const int *descriptors, size_t count)
{
    int moved[DESCRIPTORS_MAX];

    if (count > DESCRIPTORS_MAX)
        return -1;
    for (size_t i = 0; i < count; i++) {
        moved[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (moved[i] < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (dup2(moved[i], FIRST_DESCRIPTOR + (int)i) < 0)
            return -1;
    }
    return (int)syscall(SYS_close_range, FIRST_DESCRIPTOR + (unsigned int)count, ~0U, 0);
}

static _Noreturn void become(const char *path, const char *role, const int *descriptors, size_t count, pid_t parent)
{
    char *const arguments[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)role, NULL};
    char path_variable[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char language_variable[] = "LANG=C.UTF-8";
    char *const environment[] = {path_variable, language_variable, NULL};

    if (die_with_parent(parent) == 0 && place_descriptors(descriptors, count) == 0)
        (void)execve(path, arguments, environment);
    _exit(EXIT_CANNOT_START);
}

int start_child(struct child *child, const char *path, const char *role, const int *descriptors, size_t count)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return -1;
    if (pid == 0)
        become(path, role, descriptors, count, parent);
    /* It is our child and not buried, so the number is still its own. */
    child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (child->pidfd >= 0)
        return fcntl(child->pidfd, F_SETFD, FD_CLOEXEC);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return -1;
}

void kill_child(const struct child *child)
{
    if (child->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
}

/* Wait for the pidfd to become readable; a signal does not make the time longer. */
static int wait_for_end(const struct child *child, int64_t deadline)
{
    struct pollfd end = {.fd = child->pidfd, .events = POLLIN};
    int64_t left;
    int ready;

    do {
        left = deadline - now_ms();
        ready = poll(&end, 1, left > 0 ? (int)left : 0);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

int bury_child(struct child *child, int64_t deadline, int *failed)
{
    siginfo_t info = {0};

    *failed = 0;
    if (child->pidfd < 0)
        return 1;
    if (!wait_for_end(child, deadline))
        return 0;
    /* An end that cannot be read is not a good one. */
    *failed = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_code != CLD_EXITED ||
              info.si_status != 0;
    (void)close(child->pidfd);
    child->pidfd = -1;
    return 1;
}

int adopt_their_children(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* None of them is buried yet, so each number is still its own. */
static void kill_all_children(void)
{
    FILE *children = fopen("/proc/thread-self/children", "re");
    int pid;

    if (children == NULL)
        return;
    while (fscanf(children, "%d", &pid) == 1)
        (void)kill((pid_t)pid, SIGKILL);
    (void)fclose(children);
}

void end_orphans(int64_t deadline)
{
    pid_t ended;

    do {
        ended = waitpid(-1, NULL, WNOHANG);
        if (ended == 0) {
            kill_all_children();
            (void)poll(NULL, 0, 1);
        }
    } while (ended >= 0 && now_ms() < deadline);
}
