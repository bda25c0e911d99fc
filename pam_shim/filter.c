/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seccomp filter of the verifier, the card process, the network process and the program runner: what is listed here
 * fails with EPERM, foreign architectures (i386, x32) are killed, and everything else is let through.
 *
 * It is a list of what is denied and not of what is allowed, because the card process runs whatever PKCS#11 module the
 * machine has: OpenSC over pcscd, SoftHSM with its files, tpm2-pkcs11 with sqlite and D-Bus, p11-kit with threads. What
 * those call differs by version of module, glibc and OpenSSL, and a list of allowed calls would turn an upgrade of any
 * of them into a lost login. What a compromised process must not do is short and does not depend on the module.
 */
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox.h"

/* Denied to all, whatever the arguments. */
static const char *const denied[] = {
    /* other programs and processes */
    "execve",
    "execveat",
    "fork",
    "vfork",
    "uselib",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "process_mrelease",
    "move_pages",
    "migrate_pages",
    "kcmp",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    /* parts of the kernel that have been ways around a filter, or into it */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "modify_ldt",
    "vmsplice",
    "lookup_dcookie",
    "fanotify_init",
    "open_by_handle_at",
    "name_to_handle_at",
    "personality",
    /* namespaces and mounts */
    "unshare",
    "setns",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    /* the machine */
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "nfsservctl",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "vhangup",
    "syslog",
};

/*
 * Denied to verifier and network process: they change no mode, owner or time, not even of a file of their own account, nor
 * when and where another process of that account gets to run (network process and verifier share one).
 */
static const char *const denied_without_module[] = {
    "chmod",          "fchmod",        "fchmodat",
    "fchmodat2",      "chown",         "fchown",
    "lchown",         "fchownat",      "utime",
    "utimes",         "utimensat",     "futimesat",
    "setxattr",       "lsetxattr",     "fsetxattr",
    "removexattr",    "lremovexattr",  "fremovexattr",
    "mknod",          "mknodat",       "sched_setscheduler",
    "sched_setparam", "sched_setattr", "sched_setaffinity",
    "setpriority",    "ioprio_set",
};

/* Denied to the network process as well: it asks others and serves nobody. */
static const char *const denied_to_network[] = {"listen", "accept", "accept4"};

/* Allowed to the program runner, whose programs inherit the filter: they start programs and signal and limit their own. */
static const char *const allowed_to_programs[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "clone",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
};

/* One comparison on one argument under which a call is denied. */
struct conditional {
    const char *name;
    struct scmp_arg_cmp when;
};

int is_system_call(const char *name)
{
    return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

static bool is_listed(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_allowed(const struct sandbox_order *order, const char *name)
{
    if (order->kind == SANDBOX_PROGRAMS)
        return is_listed(name, allowed_to_programs, sizeof(allowed_to_programs) / sizeof(allowed_to_programs[0]));
    return is_listed(name, order->allow, order->allow_count);
}

/* A name that this libseccomp does not know, or that this architecture does not have, needs no rule. */
static int deny(scmp_filter_ctx filter, const struct sandbox_order *order, const char *name, int error,
                const struct scmp_arg_cmp *when)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR || is_allowed(order, name))
        return 0;
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)error), number, when == NULL ? 0 : 1, when);
}

static int deny_listed(scmp_filter_ctx filter, const struct sandbox_order *order, const char *const *names,
                       size_t count)
{
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = deny(filter, order, names[i], EPERM, NULL);
    return result;
}

/*
 * clone makes threads only; clone3, whose flags no filter can read, does not exist, so that glibc takes clone. A signal
 * goes to this very process (abort, pthread_kill), a limit to this very process.
 */
static int deny_conditionally(scmp_filter_ctx filter, const struct sandbox_order *order)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    const struct conditional conditions[] = {
#if defined(__s390__) || defined(__s390x__)
        {"clone", SCMP_A1(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)},
#else
        {"clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)},
#endif
        {"kill", SCMP_A0(SCMP_CMP_NE, self)},
        {"tkill", SCMP_A0(SCMP_CMP_NE, self)},
        {"tgkill", SCMP_A0(SCMP_CMP_NE, self)},
        {"rt_sigqueueinfo", SCMP_A0(SCMP_CMP_NE, self)},
        {"rt_tgsigqueueinfo", SCMP_A0(SCMP_CMP_NE, self)},
        /* the owner of a descriptor is sent a signal (SIGIO ends a process), which no filter sees as a kill */
        {"fcntl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN)},
        {"fcntl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN_EX)},
        {"fcntl64", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN)},
        {"fcntl64", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN_EX)},
        {"ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, FIOSETOWN)},
        {"ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, SIOCSPGRP)},
        {"prlimit64", SCMP_A0(SCMP_CMP_NE, 0)},
        {"socketpair", SCMP_A0(SCMP_CMP_NE, AF_UNIX)},
        {"prctl", SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_DUMPABLE)},
        {"prctl", SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_PDEATHSIG)},
        {"ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI)},
        {"ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCLINUX)},
    };
    int result = deny(filter, order, "clone3", ENOSYS, NULL);

    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]) && result == 0; i++)
        result = deny(filter, order, conditions[i].name, EPERM, &conditions[i].when);
    return result;
}

/*
 * A socket goes to this very machine. The network process and programs get those of the internet as well, and the kernel's list of
 * addresses and routes, which getaddrinfo reads. A rule compares an argument once, so the other families are listed.
 */
static int deny_sockets(scmp_filter_ctx filter, const struct sandbox_order *order)
{
    const struct scmp_arg_cmp other = SCMP_A0(SCMP_CMP_NE, AF_UNIX);
    const struct scmp_arg_cmp beyond = SCMP_A0(SCMP_CMP_GT, AF_NETLINK);
    int result;

    if (order->kind == SANDBOX_VERIFIER || order->kind == SANDBOX_CARD || order->kind == SANDBOX_WATCHER)
        return deny(filter, order, "socket", EPERM, &other);
    result = deny(filter, order, "socket", EPERM, &beyond);
    for (scmp_datum_t family = 0; family < AF_NETLINK && result == 0; family++) {
        const struct scmp_arg_cmp same = SCMP_A0(SCMP_CMP_EQ, family);

        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            result = deny(filter, order, "socket", EPERM, &same);
    }
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                                  SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE));
    return result;
}

static int add_rules(scmp_filter_ctx filter, const struct sandbox_order *order)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0)
        result = deny_listed(filter, order, denied, sizeof(denied) / sizeof(denied[0]));
    if (result == 0 && (order->kind == SANDBOX_VERIFIER || order->kind == SANDBOX_NETWORK))
        result = deny_listed(filter, order, denied_without_module,
                             sizeof(denied_without_module) / sizeof(denied_without_module[0]));
    if (result == 0 && order->kind == SANDBOX_NETWORK)
        result = deny_listed(filter, order, denied_to_network,
                             sizeof(denied_to_network) / sizeof(denied_to_network[0]));
    if (result == 0)
        result = deny_conditionally(filter, order);
    if (result == 0)
        result = deny_sockets(filter, order);
    return result;
}

int load_filter(const struct sandbox_order *order)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int result = -ENOMEM;

    if (filter == NULL)
        return result;
    result = add_rules(filter, order);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return result;
}
