/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_CONVERSATION_H
#define PAM_SC_CONVERSATION_H

#include <security/pam_modules.h>

#include "text.h"

enum { ANSWER_MAX = 512 };

/* As they stand in ANSWER. */
enum answer_status {
    ANSWER_ANSWERED = 1,
    ANSWER_EMPTY = 2,
    ANSWER_NOT_GIVEN = 3,
    ANSWER_CONVERSATION_FAILED = 4,
    ANSWER_AGAIN = 5,
    ANSWER_TOO_LONG = 6,
    ANSWER_NOT_STACKED = 7,
    ANSWER_WAITED = 8, /* a WAIT is over */
};

/* What came back. Whoever declares one wipes it. */
struct answer {
    enum answer_status status;
    size_t length; /* 1 to ANSWER_MAX where status is ANSWER_ANSWERED, else 0 */
    uint8_t bytes[ANSWER_MAX];
};

/* Send one message as it stands. The caller frees *response, which is NULL where there is none. */
int conversation_send(const pam_handle_t *pamh, const struct pam_message *message, struct pam_response **response);

/* Ask the person. `pam_style` is PAM_PROMPT_ECHO_OFF or PAM_PROMPT_ECHO_ON. */
void conversation_ask(const pam_handle_t *pamh, int pam_style, struct span text, struct answer *answer);

/* Tell the person. `pam_style` is PAM_TEXT_INFO or PAM_ERROR_MSG. A host that cannot show it is no reason to refuse. */
void conversation_tell(const pam_handle_t *pamh, int pam_style, struct span text);

/* Take PAM_AUTHTOK as an earlier module left it. Nobody is asked. */
void conversation_stacked(const pam_handle_t *pamh, struct answer *answer);

#endif
