/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_SPAWN_H
#define PAM_SC_SPAWN_H

#include <stddef.h>
#include <stdint.h>

#include "caller.h"

/* Our ends of the three channels, and the supervisor; -1 where there is none. */
struct supervisor {
    int frames;
    int secrets;
    int lifeline;
    int pidfd;
};

/* What did not work; `error` is its errno. */
enum spawn_failure {
    SPAWN_NO_FAILURE,
    SPAWN_NO_CHANNELS,
    SPAWN_NO_PROCESS,
    SPAWN_NO_PRIVILEGE,
    SPAWN_NO_DESCRIPTORS,
    SPAWN_NO_EXEC,
};

struct spawn_outcome {
    enum spawn_failure failure;
    int error;
};

/* Start `path` as the supervisor, with `order` waiting in its lifeline. On failure nothing is left behind. */
struct spawn_outcome spawn_supervisor(const char *path, const struct caller *caller, const uint8_t *order,
                                      size_t order_length, struct supervisor *supervisor);

/* End everything: close the channels, give the supervisor two seconds to bury its children, then kill it. May be called
 * again, and for a supervisor that never was. */
void spawn_end(struct supervisor *supervisor);

#endif
