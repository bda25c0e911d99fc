/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of pam_sc_worker share: the numbers of docs/protocol.md, and the exit statuses.
 */
#ifndef PAM_SC_WORKER_H
#define PAM_SC_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors of the supervisor as it is started. */
enum {
    SUPERVISOR_FRAMES = 3,
    SUPERVISOR_SECRETS = 4,
    SUPERVISOR_LIFELINE = 5,
    SUPERVISOR_HOST = 6,
    SUPERVISOR_DESCRIPTORS = 7
};

/* What the supervisor says on the lifeline when it cannot do its work. REPORT_NONE is never sent. */
enum report {
    REPORT_NONE = 0,
    REPORT_SYSTEM = 1,
    REPORT_NO_PRIVILEGE = 2,
    REPORT_TIME_OVER = 3,
    REPORT_VERIFIER_FAILED = 4,
    REPORT_UNSAFE_FILES = 5
};

enum { EXIT_USAGE = 64, EXIT_CRASHED = 70, EXIT_UNSAFE = 78 };

#define ORDER_SIZE 36
#define ORDER_IDS 6

/* The ORDER of the shim, decoded. */
struct order {
    uint32_t ids[ORDER_IDS]; /* real, effective, saved uid; real, effective, saved gid */
    uint32_t at_secure;
    uint32_t machine_seconds;
};

#endif
