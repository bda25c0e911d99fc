/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_CHILDREN_H
#define PAM_SC_CHILDREN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process of ours. pidfd is -1 before it is started and after it is buried. */
struct child {
    int pidfd;
};

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);

/*
 * Start `path` with argv {path, role}, a fixed environment and exactly `descriptors` as 3 and up. 0, or -1 with errno.
 */
int start_child(struct child *child, const char *path, const char *role, const int *descriptors, size_t count);

/* Send SIGKILL; nothing happens to a child that is dead or buried. */
void kill_child(const struct child *child);

/* Wait until `deadline` for the end of a child. True if it is over; `failed` then says if by anything but exit(0). */
int bury_child(struct child *child, int64_t deadline, int *failed);

/* Have what the processes of ours leave behind become our children. 0 or -1. */
int adopt_their_children(void);

/* Kill and bury, until `deadline`, every child that is left. To be called when all of ours are buried. */
void end_orphans(int64_t deadline);

#endif
