/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A module that stands above pam_sc.so in the tests and leaves its first argument as PAM_AUTHTOK, as pam_unix would; with
 * the argument "show" it stands below, and logs what PAM_AUTHTOK is. */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <string.h>
#include <syslog.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    const void *item = NULL;
    (void)flags;
    if (argc > 0 && strcmp(argv[0], "show") == 0) {
        const int code = pam_get_item(pamh, PAM_AUTHTOK, &item);
        pam_syslog(pamh, LOG_NOTICE, "authtok %s", item != NULL ? (const char *)item : "(none)");
        return code;
    }
    return pam_set_item(pamh, PAM_AUTHTOK, argc > 0 ? argv[0] : "");
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}

/* The first argument becomes PAM_USER, as a module may do between two others; "show" logs what a module below finds. */
int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    const void *item = NULL;
    (void)flags;
    if (argc > 0 && strcmp(argv[0], "show") == 0) {
        const int code = pam_get_item(pamh, PAM_OLDAUTHTOK, &item);
        pam_syslog(pamh, LOG_NOTICE, "old password %s", item != NULL ? "there" : "(none)");
        return code;
    }
    return pam_set_item(pamh, PAM_USER, argc > 0 ? argv[0] : "");
}
