/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_CALLER_H
#define PAM_SC_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/* Who the host is, as the kernel says; real, effective, saved. */
struct caller {
    uid_t uids[3];
    gid_t gids[3];
    bool at_secure;  /* AT_SECURE, unless all that it stood for was given up for good */
    bool privileged; /* anything but three equal uids that are not 0, or at_secure */
};

bool caller_read(struct caller *caller);

/* Whether real, effective and saved uid are root's: only then is a variable of the host's environment looked at. */
bool caller_is_root(const struct caller *caller);

#endif
