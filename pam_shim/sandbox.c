/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way into the sandbox of the verifier and of the card process: identity, capabilities, limits, Landlock, and at
 * last the seccomp filter (filter.c). Every step is read back where it can be, and one that fails ends the process.
 * Only a kernel without Landlock is gone along with. There is no way out.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUPS_MAX 65536
#define OPEN_FILES 256
#define CPU_SECONDS 60
#define CARD_MEMORY ((rlim_t)1 << 30)
#define VERIFIER_MEMORY ((rlim_t)2 << 30)

/* Landlock's interface as of ABI 7, whatever kernel the headers were made for. */
#define LANDLOCK_VERSION_FLAG 1U
#define LANDLOCK_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_MAKE_CHAR (1ULL << 6)
#define FS_MAKE_BLOCK (1ULL << 11)
#define FS_MAKE_SYM (1ULL << 12)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define NET_BIND_TCP (1ULL << 0)
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS (1ULL << 1)

struct landlock_ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

struct landlock_beneath {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

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

/* Neither of the two is ever uid 0, asked for or left over. */
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
static int drop_capabilities(void)
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

static int forbid_new_privileges(void)
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
    if (lower_limit(RLIMIT_NOFILE, OPEN_FILES) < 0 || lower_limit(RLIMIT_CPU, CPU_SECONDS) < 0)
        return -1;
#ifndef PAM_SC_SANITIZED
    return lower_limit(RLIMIT_AS, order->kind == SANDBOX_CARD ? CARD_MEMORY : VERIFIER_MEMORY);
#else
    (void)order;
    return 0;
#endif
}

/* What the domain takes away, as far as this kernel knows the right. */
static struct landlock_ruleset ruleset_for(const struct sandbox_order *order, long abi)
{
    struct landlock_ruleset rules = {.fs = FS_MAKE_CHAR | FS_MAKE_BLOCK};

    if (order->kind == SANDBOX_VERIFIER) {
        rules.fs |= FS_EXECUTE | FS_WRITE_FILE;
        for (uint64_t right = FS_REMOVE_DIR; right <= FS_MAKE_SYM; right <<= 1)
            rules.fs |= right;
        if (abi >= 3)
            rules.fs |= FS_TRUNCATE;
        if (abi >= 4)
            rules.net = NET_BIND_TCP | NET_CONNECT_TCP;
    } else if (abi >= 2) {
        rules.fs |= FS_REFER;
    }
    if (abi >= 6)
        rules.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    return rules;
}

/*
 * Every domain forbids renaming from one folder to another unless a rule allows it. Modules do that to their token
 * files, so the card process may, everywhere (a kernel with ABI 1 answers EXDEV, and programs then copy).
 */
static int let_rename(int ruleset)
{
    struct landlock_beneath everywhere = {.allowed = FS_REFER, .folder = -1};
    long result;

    everywhere.folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (everywhere.folder < 0)
        return -1;
    result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &everywhere, 0);
    (void)close(everywhere.folder);
    return result < 0 ? -1 : 0;
}

/*
 * The domain is what keeps a card process that has the host's uid out of the host: a process in a domain can neither
 * trace one outside it nor open its /proc/PID/mem, fd or environ.
 */
static int enter_landlock(const struct sandbox_order *order)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    struct landlock_ruleset rules;
    size_t size;
    int ruleset;
    int result = -1;

    if (abi < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -1;
    rules = ruleset_for(order, abi);
    size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (ruleset < 0)
        return -1;
    if ((rules.fs & FS_REFER) == 0 || let_rename(ruleset) == 0)
        result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    (void)close(ruleset);
    return result;
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
    if (enter_landlock(order) < 0)
        return "Landlock";
    if (enter_filter(order) < 0)
        return "system call filter";
    return NULL;
}
