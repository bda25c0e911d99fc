/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_TRUSTED_PATH_H
#define PAM_SC_TRUSTED_PATH_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * True if the file or folder at `path` and all its parents belong to root or `other` (0: root alone) and nobody else
 * can write them. `path` is absolute and canonical: a symbolic link anywhere in it is a refusal.
 */
bool trusted_path(const char *path, uid_t other);

#endif
