/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Landlock domain of a confined process: what it may do with files and TCP ports, whatever their modes say. A kernel
 * without Landlock is gone along with; a rule that cannot be set on a kernel that has it ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

/* Landlock's interface as of ABI 7, whatever kernel the headers were made for. */
#define LANDLOCK_VERSION_FLAG 1U
#define LANDLOCK_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_CHAR (1ULL << 6)
#define FS_MAKE_REG (1ULL << 8)
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

/* All that changes a file or a folder, as far as this kernel knows the right. */
static uint64_t writing(long abi)
{
    uint64_t rights = FS_WRITE_FILE;

    for (uint64_t right = FS_REMOVE_DIR; right <= FS_MAKE_SYM; right <<= 1)
        rights |= right;
    return abi >= 3 ? rights | FS_TRUNCATE : rights;
}

/* What the domain takes away. */
static struct landlock_ruleset ruleset_for(const struct sandbox_order *order, long abi)
{
    struct landlock_ruleset rules = {.fs = FS_MAKE_CHAR | FS_MAKE_BLOCK};

    if (order->kind == SANDBOX_VERIFIER || order->kind == SANDBOX_NETWORK)
        rules.fs = FS_EXECUTE | writing(abi);
    else if (abi >= 2)
        rules.fs |= FS_REFER;
    if (abi >= 4 && order->kind == SANDBOX_VERIFIER)
        rules.net = NET_BIND_TCP | NET_CONNECT_TCP;
    if (abi >= 4 && order->kind == SANDBOX_NETWORK)
        rules.net = NET_BIND_TCP;
    if (abi >= 6)
        rules.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS;
    return rules;
}

static int allow_beneath(int ruleset, int folder, uint64_t rights)
{
    struct landlock_beneath beneath = {.allowed = rights, .folder = folder};

    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &beneath, 0) < 0 ? -1 : 0;
}

/*
 * Every domain forbids renaming from one folder to another unless a rule allows it. Modules do that to their token
 * files, so the card process may, and programs, everywhere (a kernel with ABI 1 answers EXDEV, and programs then copy).
 */
static int let_rename(int ruleset)
{
    int everywhere = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (everywhere < 0)
        return -1;
    result = allow_beneath(ruleset, everywhere, FS_REFER);
    (void)close(everywhere);
    return result;
}

/*
 * Regular files beneath a folder of the order may be made, written, renamed within their folder and removed. A folder
 * that is not there, or that the modes of its parents keep from this process, needs no rule.
 */
static int let_write(int ruleset, const char *path, long abi)
{
    uint64_t rights = FS_WRITE_FILE | FS_MAKE_REG | FS_REMOVE_FILE | (abi >= 3 ? FS_TRUNCATE : 0);
    int folder = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result;

    if (folder < 0)
        return errno == ENOENT || errno == EACCES ? 0 : -1;
    result = allow_beneath(ruleset, folder, rights);
    (void)close(folder);
    return result;
}

/*
 * The domain is what keeps a card process that has the host's uid out of the host: a process in a domain can neither
 * trace one outside it nor open its /proc/PID/mem, fd or environ.
 */
int enter_landlock(const struct sandbox_order *order)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    struct landlock_ruleset rules;
    size_t size;
    int ruleset;
    int result = 0;

    if (abi < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -1;
    rules = ruleset_for(order, abi);
    size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (ruleset < 0)
        return -1;
    if ((rules.fs & FS_REFER) != 0)
        result = let_rename(ruleset);
    for (size_t i = 0; result == 0 && i < order->writable_count; i++)
        result = let_write(ruleset, order->writable[i], abi);
    if (result == 0)
        result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    (void)close(ruleset);
    return result;
}
