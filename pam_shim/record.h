/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_RECORD_H
#define PAM_SC_RECORD_H

#include "facts.h"

/* Who this handle was granted, and what the verdict left. */
struct record {
    char *account;
    char *session_card; /* NULL where none was left */
    bool pin_to_be_changed;
};

/* Remember a grant; takes facts->session_card over. False, and one line in the log, where there is no memory. */
bool record_grant(pam_handle_t *pamh, const char *account, struct facts *facts);

/* Forget a grant, and take back what it left in the environment. False, and one line in the log, where there is no memory:
 * then what is remembered cannot be forgotten. */
bool record_forget(pam_handle_t *pamh);

/* The record, if there is one and PAM_USER, as it is now, is its account; else NULL. */
struct record *record_find(const pam_handle_t *pamh);

/* Remember what the first pass of chauthtok ended with for PAM_USER. False as above. */
bool record_first_pass(pam_handle_t *pamh, int code);

/* What the first pass ended with; false where there was none for PAM_USER as it is now. */
bool record_find_first_pass(const pam_handle_t *pamh, int *code);

#endif
