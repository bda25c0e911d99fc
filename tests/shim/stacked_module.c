/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A module that stands above pam_sc.so in the tests and leaves its first argument as PAM_AUTHTOK, as pam_unix would. */
#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return pam_set_item(pamh, PAM_AUTHTOK, argc > 0 ? argv[0] : "");
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}
