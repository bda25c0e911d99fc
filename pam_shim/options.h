/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_OPTIONS_H
#define PAM_SC_OPTIONS_H

#include <security/pam_modules.h>
#include <stdbool.h>

/* As they stand in REQUEST. */
enum {
    OPTION_DEBUG = 1,
    OPTION_QUIET = 2,
    OPTION_TRY_FIRST_PASS = 4,
    OPTION_USE_FIRST_PASS = 8,
    OPTION_FORWARD_PIN = 16,
};

/* Bytes of the arguments that are relayed. With them a REQUEST of the longest other fields still fits into its frame. */
enum { RELAYED_MAX = 768 };

struct options {
    unsigned flags;
    const char *config; /* "" where the default holds */
    const char *worker;
    unsigned machine_s;
    bool nodelay;                  /* no matter of the verifier's */
    char relayed[RELAYED_MAX + 1]; /* arguments of pam_pkcs11, with '\n' between them */
};

/* Read the arguments of the PAM line. False, and one line in the log, if one of them is not known or malformed. */
bool options_parse(const pam_handle_t *pamh, int argc, const char *const *argv, struct options *options);

#endif
