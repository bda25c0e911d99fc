/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way into the sandbox of the verifier, the card process, the network process and the program runner: identity, capabilities, limits,
 * Landlock (landlock.c), and at last the seccomp filter (filter.c). Every step is read back where it can be, and one
 * that fails ends the process. Only a kernel without Landlock is gone along with. There is no way out.
 */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUPS_MAX 65536
#define OPEN_FILES 256
#define CPU_SECONDS 60
#define CARD_MEMORY ((rlim_t)1 << 30)
#define OTHER_MEMORY ((rlim_t)2 << 30)

int die_with_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() == parent)
        return 0;
    errno = ESRCH;
    return -1;
}

int forbid_dumps(void)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return -1;
    if (prctl(PR_GET_DUMPABLE) == 0)
        return 0;
    errno = EPERM;
    return -1;
}

static bool keeps_identity(const struct sandbox_order *order)
{
    return order->uid == (uid_t)-1;
}

/* None of them is ever uid 0, asked for or left over. */
static int check_order(const struct sandbox_order *order)
{
    uid_t uids[3];

    errno = EINVAL;
    if (!keeps_identity(order))
        return order->uid == 0 || order->gid == (gid_t)-1 || order->group_count > GROUPS_MAX ? -1 : 0;
    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0)
        return -1;
    errno = EINVAL;
    return uids[0] == 0 || uids[1] == 0 || uids[2] == 0 ? -1 : 0;
}

static int check_allowed_names(const struct sandbox_order *order)
{
    for (size_t i = 0; i < order->allow_count; i++) {
        if (!is_system_call(order->allow[i])) {
            errno = EINVAL;
            return -1;
        }
    }
    return 0;
}

static int check_writable(const struct sandbox_order *order)
{
    for (size_t i = 0; i < order->writable_count; i++) {
        if (order->kind != SANDBOX_VERIFIER || order->writable[i][0] != '/') {
            errno = EINVAL;
            return -1;
        }
    }
    return 0;
}

static bool is_listed(gid_t group, const gid_t *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* The kernel sorts the groups: each list must hold the other's. */
static bool has_groups(const struct sandbox_order *order)
{
    gid_t held[256];
    int count = getgroups(sizeof(held) / sizeof(held[0]), held);

    if (count < 0)
        return false;
    for (int i = 0; i < count; i++) {
        if (!is_listed(held[i], order->groups, order->group_count))
            return false;
    }
    for (size_t i = 0; i < order->group_count; i++) {
        if (!is_listed(order->groups[i], held, (size_t)count))
            return false;
    }
    return true;
}

static bool has_identity(const struct sandbox_order *order)
{
    uid_t uids[3];
    gid_t gids[3];

    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (uids[i] != order->uid || gids[i] != order->gid)
            return false;
    }
    return has_groups(order);
}

static int take_identity(const struct sandbox_order *order)
{
    if (keeps_identity(order))
        return 0;
    if (setgroups(order->group_count, order->groups) < 0 || setresgid(order->gid, order->gid, order->gid) < 0 ||
        setresuid(order->uid, order->uid, order->uid) < 0)
        return -1;
    if (has_identity(order) && setuid(0) < 0 && errno == EPERM)
        return 0;
    errno = EPERM;
    return -1;
}

/* A change of uid takes the capabilities away only if no securebit of the host forbids it; so it is done by hand. */
int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -1;
    memset(sets, 0, sizeof(sets));
    if (syscall(SYS_capset, &header, sets) < 0 || syscall(SYS_capget, &header, sets) < 0)
        return -1;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        if (sets[i].effective != 0 || sets[i].permitted != 0 || sets[i].inheritable != 0) {
            errno = EPERM;
            return -1;
        }
    }
    return 0;
}

int forbid_new_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return 0;
    errno = EPERM;
    return -1;
}

static int lower_limit(int resource, rlim_t wanted)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return -1;
    if (limit.rlim_max < wanted)
        wanted = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = wanted;
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

/* No RLIMIT_FSIZE: a PKCS#11 module that may not finish a write can destroy the token that it keeps in a file. */
static int set_limits(const struct sandbox_order *order)
{
    const bool runs_module = order->kind == SANDBOX_CARD || order->kind == SANDBOX_WATCHER;

    if (lower_limit(RLIMIT_NOFILE, OPEN_FILES) < 0)
        return -1;
    if (order->kind != SANDBOX_WATCHER && lower_limit(RLIMIT_CPU, CPU_SECONDS) < 0)
        return -1;
#ifndef PAM_SC_SANITIZED
    return lower_limit(RLIMIT_AS, runs_module ? CARD_MEMORY : OTHER_MEMORY);
#else
    (void)runs_module;
    return 0;
#endif
}

/* What a program leaves behind becomes the runner's child, which ends it. */
static int adopt_orphans(const struct sandbox_order *order)
{
    return order->kind == SANDBOX_PROGRAMS ? prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) : 0;
}

static int enter_filter(const struct sandbox_order *order)
{
    int result = load_filter(order);

    if (result == 0)
        return 0;
    errno = -result;
    return -1;
}

const char *enter_sandbox(const struct sandbox_order *order)
{
    pid_t parent = getppid();

    if (check_order(order) < 0)
        return "the account";
    if (check_allowed_names(order) < 0)
        return "the names of system calls to allow";
    if (check_writable(order) < 0)
        return "the folder to write in";
    if (take_identity(order) < 0)
        return "change of identity";
    if (drop_capabilities() < 0)
        return "drop of capabilities";
    if (die_with_parent(parent) < 0)
        return "death with the parent";
    if (forbid_new_privileges() < 0)
        return "no_new_privs";
    if (forbid_dumps() < 0)
        return "no dumps";
    if (set_limits(order) < 0)
        return "limits";
    if (adopt_orphans(order) < 0)
        return "adoption of orphans";
    if (enter_landlock(order) < 0)
        return "Landlock";
    if (enter_filter(order) < 0)
        return "system call filter";
    return NULL;
}
