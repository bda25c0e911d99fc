/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_REQUEST_H
#define PAM_SC_REQUEST_H

#include "caller.h"
#include "frames.h"
#include "options.h"

enum { ITEM_MAX = 512, ORDER_LENGTH = 36 };

enum pam_function { FUNCTION_AUTHENTICATE = 1, FUNCTION_CHAUTHTOK = 2 };

struct request {
    const struct options *options;
    struct caller caller;
    enum pam_function function;
    int pam_flags;
    int choice_list; /* the type of GDM's choice list, or -1 where the host shows none */
    uint8_t nonce[NONCE_LENGTH];
    char account[ITEM_MAX + 1]; /* a copy: a conversation may change PAM_USER. "" where it is not set */
};

/* Gather what the verifier is asked, and write REQUEST and ORDER. 0, or the PAM code of the refusal, which is logged. */
int request_prepare(pam_handle_t *pamh, enum pam_function function, int pam_flags, const struct options *options,
                    struct request *request, struct outgoing *frame, uint8_t order[ORDER_LENGTH]);

/* The PAM item as a text, "" where it is not set; false if it cannot be read. */
bool request_read_item(const pam_handle_t *pamh, int item, const char **text);

#endif
