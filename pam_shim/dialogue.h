/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_DIALOGUE_H
#define PAM_SC_DIALOGUE_H

#include "conversation.h"
#include "facts.h"
#include "request.h"
#include "spawn.h"

/* How a request ended. `refusal` is a PAM code and never PAM_SUCCESS; it counts unless `granted`. Whoever declares one
 * ends it with dialogue_forget. */
struct ending {
    bool granted;
    int refusal;
    bool secret_sent;
    char account[ITEM_MAX + 1]; /* where granted, the account of the verdict */
    struct facts facts;         /* of use only where granted */
    char pin[ANSWER_MAX + 1];   /* what the last prompt for a secret was answered with, with forward_pin; else "" */
};

/* Send REQUEST and serve the verifier until its verdict or the end of its time. Every refusal that the verifier has not
 * pronounced itself is logged here. PAM_USER is not looked at. */
void dialogue_conduct(pam_handle_t *pamh, const struct request *request, const struct outgoing *frame,
                      const struct supervisor *supervisor, struct ending *ending);

/* Wipe and free what an ending holds. */
void dialogue_forget(struct ending *ending);

#endif
