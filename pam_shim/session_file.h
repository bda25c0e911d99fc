/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_SESSION_FILE_H
#define PAM_SC_SESSION_FILE_H

#include <security/pam_modules.h>

/* Write which card opened this host's own session of logind, once; `text` as it stands. What goes wrong is logged, and no
 * session fails for it. */
void session_file_write(pam_handle_t *pamh, const char *account, const char *text);

/* Remove what this handle has written. */
void session_file_remove(pam_handle_t *pamh);

#endif
