/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_WORKER_PATH_H
#define PAM_SC_WORKER_PATH_H

#include <limits.h>

#include "caller.h"

/* Resolve `given` into `canonical`. NULL if that is a program nobody but root (and a caller without privilege) can
 * change; else what is wrong with it, for the log. */
const char *worker_path_unsafe(const struct caller *caller, const char *given, char canonical[PATH_MAX]);

#endif
