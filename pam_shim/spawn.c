/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts the supervisor and ends it, without the host noticing: no SIGCHLD, no zombie, no descriptor, mask or disposition
 * that differs afterwards, whatever other threads of the host do meanwhile. Once started the supervisor is known by its
 * pidfd alone; there is no fallback for kernels without it (before 5.9): they fail closed.
 *
 *     host thread   blocks every signal, and clones the middle: no exit signal, the host's memory and descriptor table
 *     middle        clones the supervisor: the host's memory, its own descriptor table. The pidfd that this makes is in
 *                   the table of the middle, which is the host's. When the supervisor has done execve, the middle ends;
 *                   so the supervisor is an orphan, and the host is nobody's parent
 *     supervisor    own session, default dispositions, uid 0 if the host has any privilege, descriptors, empty mask, execve
 *     host thread   waits for the middle by its pidfd, and restores the mask
 *
 * Each waits inside clone (CLONE_VFORK) until the one below it has done execve or ended, so the memory they share has one
 * user at a time. Middle and supervisor make raw system calls only: libc would lock, broadcast (setresuid) or remember. */

#define _GNU_SOURCE 1

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Runs in memory and on a stack that a sanitizer of the host does not know. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize_address))

enum {
    STACK_SIZE = 64 * 1024, /* a multiple of every page size */
    STACKS_SIZE = 4 * STACK_SIZE,
    KERNEL_SIGNALS = 64,
    KERNEL_SIGSET_SIZE = KERNEL_SIGNALS / 8,
    FIRST_END = 3, /* what the supervisor is given as 3, 4, 5 and 6 */
    ENDS = 4,
    FIRST_FREE = FIRST_END + ENDS,
    GRACE_MS = 2000,
    KILLED_MS = 1000,
};

/* Shared by host thread, middle and supervisor; each writes while the others wait. */
struct launch {
    const char *path;
    bool become_root;
    int ends[ENDS];
    uint8_t *supervisor_stack_top;
    int pidfd;
    volatile struct spawn_outcome outcome;
};

/* A kernel_sigaction is at most this long; all zero it means SIG_DFL on every architecture. */
struct zero_action {
    unsigned long words[8];
};

ON_FOREIGN_STACK static bool failed(struct launch *launch, enum spawn_failure failure)
{
    launch->outcome.error = errno;
    launch->outcome.failure = failure;
    return false;
}

/* First up, where no end can be overwritten, then down to its place. dup3 clears close-on-exec. */
ON_FOREIGN_STACK static bool place_descriptors(struct launch *launch)
{
    long lifted[ENDS];
    for (int i = 0; i < ENDS; i++) {
        lifted[i] = syscall(SYS_fcntl, launch->ends[i], F_DUPFD_CLOEXEC, FIRST_FREE);
        if (lifted[i] < 0)
            return failed(launch, SPAWN_NO_DESCRIPTORS);
    }
    for (int i = 0; i < ENDS; i++) {
        if (syscall(SYS_dup3, lifted[i], FIRST_END + i, 0) < 0)
            return failed(launch, SPAWN_NO_DESCRIPTORS);
    }
    const long null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
    const long lifted_null = null < 0 ? -1 : syscall(SYS_fcntl, null, F_DUPFD_CLOEXEC, FIRST_FREE);
    for (int i = 0; i < FIRST_END; i++) {
        if (lifted_null < 0 || syscall(SYS_dup3, lifted_null, i, 0) < 0)
            return failed(launch, SPAWN_NO_DESCRIPTORS);
    }
    if (syscall(SYS_close_range, FIRST_FREE, ~0U, 0) < 0)
        return failed(launch, SPAWN_NO_DESCRIPTORS);
    return true;
}

/* The host's handlers do not exist in the new program, and what it ignores must not stay ignored there. */
ON_FOREIGN_STACK static void reset_dispositions(void)
{
    const struct zero_action action = {{0}};
    for (int signal = 1; signal <= KERNEL_SIGNALS; signal++)
        (void)syscall(SYS_rt_sigaction, signal, &action, NULL, KERNEL_SIGSET_SIZE); /* KILL and STOP refuse */
}

ON_FOREIGN_STACK static int run_supervisor(void *argument)
{
    struct launch *const launch = argument;
    const unsigned long no_signals[2] = {0, 0};
    char *const argv[] = {(char *)(uintptr_t)launch->path, NULL};
    static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL};

    reset_dispositions();
    if (syscall(SYS_setsid) < 0) {
        failed(launch, SPAWN_NO_PROCESS);
    } else if (launch->become_root && syscall(SYS_setresuid, 0, 0, 0) != 0) {
        failed(launch, SPAWN_NO_PRIVILEGE);
    } else if (place_descriptors(launch)) {
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, no_signals, NULL, KERNEL_SIGSET_SIZE);
        (void)syscall(SYS_execve, launch->path, argv, envp);
        failed(launch, SPAWN_NO_EXEC);
    }
    syscall(SYS_exit, 1);
    return 1;
}

ON_FOREIGN_STACK static int run_middle(void *argument)
{
    struct launch *const launch = argument;
    if (clone(run_supervisor, launch->supervisor_stack_top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, launch,
              &launch->pidfd) < 0)
        failed(launch, SPAWN_NO_PROCESS);
    else if (launch->outcome.failure != SPAWN_NO_FAILURE)
        (void)syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED | __WALL, NULL); /* it never became a program: bury it here */
    syscall(SYS_exit, 0);
    return 0;
}

static void bury(int pidfd, int options)
{
    while (syscall(SYS_waitid, P_PIDFD, pidfd, NULL, WEXITED | __WALL | options, NULL) != 0 && errno == EINTR)
        continue; /* ECHILD: not ours, or the host has a thread that waits for any child */
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Fork twice on two stacks, each with a guard page below it; sets launch->pidfd. */
static void clone_twice(struct launch *launch)
{
    int middle = -1;
    uint8_t *const stacks = mmap(NULL, STACKS_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED) {
        failed(launch, SPAWN_NO_PROCESS);
        return;
    }
    uint8_t *const middle_stack = stacks + STACK_SIZE;
    uint8_t *const supervisor_stack = stacks + 3 * (size_t)STACK_SIZE;
    launch->supervisor_stack_top = supervisor_stack + STACK_SIZE;
    if (mprotect(middle_stack, STACK_SIZE, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(supervisor_stack, STACK_SIZE, PROT_READ | PROT_WRITE) != 0 ||
        clone(run_middle, middle_stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD, launch,
              &middle) < 0)
        failed(launch, SPAWN_NO_PROCESS);
    else
        bury(middle, 0);
    close_end(&middle);
    (void)munmap(stacks, STACKS_SIZE);
}

/* All 64 signals, also those that libc keeps for itself and would leave out. A change of the effective uid in memory that
 * is shared makes the host undumpable, so that is put back as well. */
static void launch_undisturbed(struct launch *launch)
{
    const unsigned long all_signals[2] = {~0UL, ~0UL};
    unsigned long mask[2] = {0, 0};
    const int dumpable = prctl(PR_GET_DUMPABLE);
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, all_signals, mask, KERNEL_SIGSET_SIZE) != 0) {
        failed(launch, SPAWN_NO_PROCESS);
        return;
    }
    clone_twice(launch);
    if (dumpable == 1 && prctl(PR_GET_DUMPABLE) != 1)
        (void)prctl(PR_SET_DUMPABLE, 1);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, KERNEL_SIGSET_SIZE);
}

/* Keep ours away from 0, 1 and 2: a host without them would print into a channel. */
static bool lift(int *fd)
{
    if (*fd > STDERR_FILENO || *fd < 0)
        return *fd >= 0;
    const int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_END);
    (void)close(*fd);
    *fd = lifted;
    return lifted >= 0;
}

static bool open_channel(int type, int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    *ours = pair[0];
    *theirs = pair[1];
    return lift(ours) && lift(theirs);
}

static bool open_channels(struct supervisor *ours, int theirs[ENDS], const uint8_t *order, size_t order_length)
{
    if (!open_channel(SOCK_STREAM, &ours->frames, &theirs[0]) ||
        !open_channel(SOCK_STREAM, &ours->secrets, &theirs[1]) ||
        !open_channel(SOCK_SEQPACKET, &ours->lifeline, &theirs[2]))
        return false;
    theirs[3] = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return lift(&theirs[3]) &&
           send(ours->lifeline, order, order_length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)order_length;
}

struct spawn_outcome spawn_supervisor(const char *path, const struct caller *caller, const uint8_t *order,
                                      size_t order_length, struct supervisor *supervisor)
{
    struct launch launch = {.path = path, .become_root = caller->privileged, .ends = {-1, -1, -1, -1}, .pidfd = -1};
    *supervisor = (struct supervisor){-1, -1, -1, -1};

    if (!open_channels(supervisor, launch.ends, order, order_length))
        failed(&launch, SPAWN_NO_CHANNELS);
    else
        launch_undisturbed(&launch);
    for (int i = 0; i < ENDS; i++)
        close_end(&launch.ends[i]);
    supervisor->pidfd = launch.pidfd;
    if (launch.outcome.failure == SPAWN_NO_FAILURE && !lift(&supervisor->pidfd))
        failed(&launch, SPAWN_NO_PROCESS);
    if (launch.outcome.failure != SPAWN_NO_FAILURE)
        spawn_end(supervisor);
    return (struct spawn_outcome){launch.outcome.failure, launch.outcome.error};
}

/* Shut down first: a child that another thread of the host has forked meanwhile may hold a copy of our end. */
static void hang_up(int *fd)
{
    if (*fd >= 0)
        (void)shutdown(*fd, SHUT_RDWR);
    close_end(fd);
}

static bool ends_within(int pidfd, int milliseconds)
{
    struct timespec now;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t until = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + milliseconds;
    for (;;) {
        const int found = poll(&ended, 1, milliseconds);
        if (found >= 0 || errno != EINTR)
            return found > 0;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        milliseconds = (int)(until - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000));
        if (milliseconds < 0)
            return false;
    }
}

void spawn_end(struct supervisor *supervisor)
{
    hang_up(&supervisor->secrets);
    hang_up(&supervisor->frames);
    hang_up(&supervisor->lifeline);
    if (supervisor->pidfd < 0)
        return;
    if (!ends_within(supervisor->pidfd, GRACE_MS)) {
        (void)syscall(SYS_pidfd_send_signal, supervisor->pidfd, SIGKILL, NULL, 0);
        (void)ends_within(supervisor->pidfd, KILLED_MS);
    }
    bury(supervisor->pidfd, WNOHANG); /* it is our child only where the host is a subreaper or process 1 */
    close_end(&supervisor->pidfd);
}
