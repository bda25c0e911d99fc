/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_SANDBOX_H
#define PAM_SC_SANDBOX_H

#include <stddef.h>
#include <sys/types.h>

/* The watcher is a card process that stays: it waits for cards as long as the monitor runs, and has no limit of CPU time. */
enum sandbox_kind { SANDBOX_VERIFIER, SANDBOX_CARD, SANDBOX_WATCHER, SANDBOX_NETWORK, SANDBOX_PROGRAMS };

/* What the process becomes. */
struct sandbox_order {
    enum sandbox_kind kind;
    uid_t uid; /* (uid_t)-1: the identity stays as it is */
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    const char *const *allow; /* names of system calls that the filter lets through all the same */
    size_t allow_count;
    const char *const *writable; /* absolute paths of the folders beneath which files may be written */
    size_t writable_count;
};

/*
 * Enter the sandbox for good. Returns NULL, or the name of the step that failed, with errno set; the process must then
 * end, because it may be half way in. EINVAL says that the order itself was wrong.
 */
const char *enter_sandbox(const struct sandbox_order *order);

/* The last step but one, in landlock.c: enter the Landlock domain, where the kernel has it. Returns 0 or -1 with errno. */
int enter_landlock(const struct sandbox_order *order);

/* The last step, in filter.c: load the seccomp filter. Returns 0 or a negative errno. */
int load_filter(const struct sandbox_order *order);

/* True if `name` is a system call of this machine, which is what `allow` may name. */
int is_system_call(const char *name);

/*
 * Make sure that this process dies with `parent`, and that it still is the child of it. Needed again after every change
 * of credentials, which clears the setting.
 */
int die_with_parent(pid_t parent);

/* Give up every capability, ambient ones included; read back. */
int drop_capabilities(void);

/* Gain nothing from any program that is executed; read back. */
int forbid_new_privileges(void);

/* No core file, and not to be read by a debugger; read back. */
int forbid_dumps(void);

#endif
