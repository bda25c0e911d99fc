/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_INTERPRETER_H
#define PAM_SC_INTERPRETER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* What the interpreter is loaded from; all canonical. */
struct installation {
    char worker[PATH_MAX];
    char libpython[PATH_MAX];
    char stdlib[PATH_MAX];
    char dynload[PATH_MAX];
    char site_packages[PATH_MAX];
};

/* Find the installation that this very executable belongs to. */
bool find_installation(struct installation *found);

/* True if nobody but root, and `other` where it is not 0, can change any part of the installation. */
bool trusted_installation(const struct installation *found, uid_t other);

/* Run main() of a Python module in an interpreter that nothing outside the installation influences, and exit. */
_Noreturn void run_python(const struct installation *found, const char *module);

#endif
