/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_LINK_H
#define PAM_SC_LINK_H

#include "dialogue.h"

/* Limits of human time; the tests of the limits build with shorter ones. */
#ifndef PAM_SC_PROMPT_S
#define PAM_SC_PROMPT_S 120
#endif
#ifndef PAM_SC_REQUEST_S
#define PAM_SC_REQUEST_S 300
#endif

enum { MS_PER_S = 1000 };

/* Where a WAIT of the verifier stands:
 *
 *     state            a signal     WAITED                   whose time it is
 *     NO_WAIT          passed over  broken protocol          the machine's
 *     WAIT_RUNS        cancelled    ANSWER waited, NO_WAIT   a person's
 *     WAIT_CANCELLED   passed over  NO_WAIT                  the machine's
 */
enum wait_state { NO_WAIT, WAIT_RUNS, WAIT_CANCELLED };

/* One request while it is served. */
struct dialogue {
    pam_handle_t *pamh;
    const struct request *request;
    const struct supervisor *supervisor;
    struct ending *ending;
    int64_t machine_left_ms;
    int64_t request_end_ms;
    unsigned frames;
    unsigned secret_prompts[2]; /* typed, stacked */
    enum wait_state wait;
    bool lifeline_ended;
};

/* What waiting for the verifier led to. */
enum event { EVENT_BYTES, EVENT_FRAME, EVENT_END, EVENT_SIGNAL, EVENT_REFUSED };

int64_t now_ms(void);

/* What is left of the time that runs: the machine's or, in a WAIT, that of the request. */
int64_t link_time_left(const struct dialogue *dialogue);

/* Refuse with a PAM code and one line in the log. Always EVENT_REFUSED. */
enum event link_refuse(struct dialogue *dialogue, int code, const char *why);
enum event link_refuse_for_time(struct dialogue *dialogue);
enum event link_refuse_for_protocol(struct dialogue *dialogue);

/* Read at most `wanted` bytes; *got is 0 if there was nothing after all. EVENT_END at end of file. */
enum event link_receive(struct dialogue *dialogue, uint8_t *bytes, size_t wanted, size_t *got);

/* EVENT_FRAME with the next whole frame, or EVENT_REFUSED. */
enum event link_receive_frame(struct dialogue *dialogue, uint8_t bytes[FRAME_MAX], struct incoming *frame);

/* EVENT_FRAME when the frame is sent, or need not be any more, or EVENT_REFUSED. */
enum event link_send_frame(struct dialogue *dialogue, const struct outgoing *frame);

/* Send an ANSWER; `text` is empty for a secret. */
enum event link_send_answer(struct dialogue *dialogue, uint8_t status, struct span text);

#endif
