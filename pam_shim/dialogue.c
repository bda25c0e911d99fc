/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Speaks with the verifier (docs/protocol.md): sends the request, asks the person what the verifier asks for, hands secrets
 * to the card process alone, and believes one thing, a whole verdict for this very request with nothing after it. It never
 * puts more questions than a login can need. Frames and time are link.c's.
 *
 *     what comes                          what is done                                            then
 *     PROMPT, up to 3 for a secret        ask; secret to the card process; ANSWER                 wait on
 *     CHOICE, where the host shows lists  ask; ANSWER                                             wait on
 *     WAIT                                tell the person; the time is theirs, a signal cancels   wait on
 *     WAITED after WAIT                   ANSWER, unless it was cancelled; machine time           wait on
 *     MESSAGE                             tell the person, unless silent or quiet                 wait on
 *     LOG                                 write it down (debug only if asked for)                 wait on
 *     FACT, up to 16                      keep it; of use only if granted                         wait on
 *     VERDICT for this nonce, function    keep it; only end of file may follow                    granted or its code
 *     anything else                                                                               SYSTEM_ERR
 *
 * In a WAIT nothing is asked and nothing granted. The first pass of chauthtok asks nothing, and chauthtok leaves no FACT.
 */

#include "dialogue.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>

#include "choice.h"
#include "link.h"

enum { SECRET_PROMPTS_MAX = 3, LOG_LINE_SIZE = 1024 };

/* Hand a secret to the card process, without another copy of it. If that is gone the verifier will hear of it from its
 * own channel and knows the reason to give, so that is no error here. */
static enum event send_secret(struct dialogue *dialogue, struct answer *answer)
{
    uint8_t prefix[4];
    struct iovec parts[] = {
        {.iov_base = prefix, .iov_len = sizeof prefix},
        {.iov_base = answer->bytes, .iov_len = answer->length},
    };
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    write_u32(prefix, (uint32_t)answer->length);
    const ssize_t length = sendmsg(dialogue->supervisor->secrets, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (length > 0)
        dialogue->ending->secret_sent = true;
    if (length == (ssize_t)(sizeof prefix + answer->length) || (length < 0 && (errno == EPIPE || errno == ECONNRESET)))
        return EVENT_FRAME;
    return link_refuse(dialogue, PAM_SYSTEM_ERR, "cannot hand the answer to the card process");
}

/* Keep what was answered last for a later grant. Bytewise and through volatile, as in conversation.c. */
static void keep_pin(struct ending *ending, const struct answer *answer)
{
    const volatile uint8_t *const from = answer->bytes;
    volatile char *const kept = ending->pin;
    explicit_bzero(ending->pin, sizeof ending->pin);
    for (size_t i = 0; i < answer->length; i++)
        kept[i] = (char)from[i];
}

static enum event send_answer(struct dialogue *dialogue, bool visible, struct answer *answer)
{
    if (!visible && answer->status == ANSWER_ANSWERED && send_secret(dialogue, answer) == EVENT_REFUSED)
        return EVENT_REFUSED;
    if (!visible && (dialogue->request->options->flags & OPTION_FORWARD_PIN) != 0)
        keep_pin(dialogue->ending, answer);
    return link_send_answer(dialogue, (uint8_t)answer->status,
                            (struct span){answer->bytes, visible ? answer->length : 0});
}

/* An answer that came too late, or is no text where a text goes, counts as none. */
static void drop_useless_answer(const struct dialogue *dialogue, bool visible, int64_t asked_ms, struct answer *answer)
{
    const bool late = now_ms() - asked_ms > PAM_SC_PROMPT_S * MS_PER_S || now_ms() > dialogue->request_end_ms;
    const bool garbled = visible && !text_is_plain((struct span){answer->bytes, answer->length});
    if (late || garbled) {
        explicit_bzero(answer, sizeof *answer);
        answer->status = ANSWER_NOT_GIVEN;
    }
}

/* A person can be asked now at all. */
static enum event require_a_person(struct dialogue *dialogue)
{
    const struct request *const request = dialogue->request;
    if (link_time_left(dialogue) <= 0)
        return link_refuse_for_time(dialogue);
    if (dialogue->wait != NO_WAIT ||
        (request->function == FUNCTION_CHAUTHTOK && ((unsigned)request->pam_flags & PAM_PRELIM_CHECK) != 0))
        return link_refuse_for_protocol(dialogue);
    return EVENT_FRAME;
}

static enum event serve_prompt(struct dialogue *dialogue, const struct incoming *prompt)
{
    const enum prompt_style style = (enum prompt_style)prompt->value;
    const unsigned stacked = OPTION_TRY_FIRST_PASS | OPTION_USE_FIRST_PASS;
    const int64_t asked_ms = now_ms();
    struct answer answer = {.status = ANSWER_NOT_STACKED};
    if (require_a_person(dialogue) == EVENT_REFUSED)
        return EVENT_REFUSED;
    if (style != PROMPT_ECHOED && ++dialogue->secret_prompts[style == PROMPT_STACKED] > SECRET_PROMPTS_MAX)
        return link_refuse(dialogue, PAM_SYSTEM_ERR, "the verifier asks for more secrets than a login needs");
    switch (style) {
    case PROMPT_SECRET:
        conversation_ask(dialogue->pamh, PAM_PROMPT_ECHO_OFF, prompt->text, &answer);
        break;
    case PROMPT_ECHOED:
        conversation_ask(dialogue->pamh, PAM_PROMPT_ECHO_ON, prompt->text, &answer);
        break;
    case PROMPT_STACKED: /* somebody's password, and no PIN unless the administrator says that it is one */
        if ((dialogue->request->options->flags & stacked) != 0)
            conversation_stacked(dialogue->pamh, &answer);
        break;
    }
    drop_useless_answer(dialogue, style == PROMPT_ECHOED, asked_ms, &answer);
    const enum event event = send_answer(dialogue, style == PROMPT_ECHOED, &answer);
    explicit_bzero(&answer, sizeof answer);
    return event;
}

static enum event serve_choice(struct dialogue *dialogue, const struct incoming *choice)
{
    const int64_t asked_ms = now_ms();
    struct answer answer;
    if (require_a_person(dialogue) == EVENT_REFUSED)
        return EVENT_REFUSED;
    if (dialogue->request->choice_list < 0)
        return link_refuse_for_protocol(dialogue);
    choice_ask(dialogue->pamh, dialogue->request->choice_list, choice, &answer);
    drop_useless_answer(dialogue, true, asked_ms, &answer);
    return send_answer(dialogue, true, &answer);
}

static void tell(const struct dialogue *dialogue, int pam_style, struct span text)
{
    const bool silent = ((unsigned)dialogue->request->pam_flags & PAM_SILENT) != 0 ||
                        (dialogue->request->options->flags & OPTION_QUIET) != 0;
    if (!silent)
        conversation_tell(dialogue->pamh, pam_style, text);
}

/* What was typed before is not what opens the card after a WAIT: that may be a pinpad, whose PIN nobody forwards. */
static enum event serve_wait(struct dialogue *dialogue, const struct incoming *wait)
{
    if (dialogue->wait != NO_WAIT)
        return link_refuse_for_protocol(dialogue);
    if (link_time_left(dialogue) <= 0)
        return link_refuse_for_time(dialogue);
    explicit_bzero(dialogue->ending->pin, sizeof dialogue->ending->pin);
    if (wait->text.length > 0)
        tell(dialogue, PAM_TEXT_INFO, wait->text);
    dialogue->wait = WAIT_RUNS;
    return EVENT_FRAME;
}

static enum event serve_waited(struct dialogue *dialogue)
{
    const enum wait_state before = dialogue->wait;
    dialogue->wait = NO_WAIT;
    switch (before) {
    case WAIT_RUNS:
        return link_send_answer(dialogue, ANSWER_WAITED, (struct span){NULL, 0});
    case WAIT_CANCELLED: /* it has had its answer */
        return EVENT_FRAME;
    case NO_WAIT:
        break;
    }
    return link_refuse_for_protocol(dialogue);
}

static enum event serve_fact(struct dialogue *dialogue, const struct incoming *fact)
{
    if (dialogue->request->function != FUNCTION_AUTHENTICATE)
        return link_refuse_for_protocol(dialogue);
    switch (facts_keep(&dialogue->ending->facts, fact)) {
    case FACT_KEPT:
        return EVENT_FRAME;
    case FACT_NO_MEMORY:
        return link_refuse(dialogue, PAM_BUF_ERR, "out of memory for what the verdict would leave");
    case FACT_NOT_ALLOWED:
        break;
    }
    return link_refuse_for_protocol(dialogue);
}

static void serve_log(const struct dialogue *dialogue, const struct incoming *log)
{
    char line[LOG_LINE_SIZE];
    if (log->value == LOG_DEBUG && (dialogue->request->options->flags & OPTION_DEBUG) == 0)
        return;
    text_clean(log->text, line, sizeof line);
    pam_syslog(dialogue->pamh, log->value, "%s", line);
}

/* What a VERDICT may carry beside 0; see docs/protocol.md. */
static bool is_refusal(enum pam_function function, uint8_t code)
{
    switch (code) {
    case PAM_SERVICE_ERR:
    case PAM_SYSTEM_ERR:
    case PAM_BUF_ERR:
    case PAM_AUTH_ERR:
    case PAM_AUTHINFO_UNAVAIL:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_CONV_ERR:
    case PAM_INCOMPLETE:
    case PAM_IGNORE: /* only where the administrator asked for it, which the verifier knows */
        return true;
    case PAM_AUTHTOK_ERR:
    case PAM_AUTHTOK_RECOVERY_ERR:
    case PAM_TRY_AGAIN:
        return function == FUNCTION_CHAUTHTOK;
    default:
        return false;
    }
}

/* Judge the verdict and wait for the end of file behind it; only then is it what the request ended with. */
static void conclude(struct dialogue *dialogue, const struct incoming *verdict)
{
    const struct request *const request = dialogue->request;
    const bool grants = verdict->value == PAM_SUCCESS && verdict->text.length > 0 && verdict->text.length <= ITEM_MAX &&
                        text_is_plain(verdict->text);
    enum event event = EVENT_BYTES;
    if (memcmp(verdict->nonce, request->nonce, NONCE_LENGTH) != 0 || verdict->function != request->function ||
        !(grants || is_refusal(request->function, verdict->value))) {
        (void)link_refuse(dialogue, PAM_SYSTEM_ERR, "the verdict is none for this request");
        return;
    }
    if (grants && dialogue->wait != NO_WAIT) {
        (void)link_refuse_for_protocol(dialogue);
        return;
    }
    dialogue->wait = NO_WAIT; /* whose card was lost meanwhile, say: the rest is the machine's time */
    while (event == EVENT_BYTES) {
        uint8_t more;
        size_t got;
        event = link_receive(dialogue, &more, sizeof more, &got);
        if (got > 0)
            event = link_refuse(dialogue, PAM_SYSTEM_ERR, "the verifier went on after its verdict");
    }
    if (event != EVENT_END) {
        dialogue->ending->refusal = PAM_SYSTEM_ERR; /* whatever else was wrong: a verdict without its end */
    } else if (grants && link_time_left(dialogue) <= 0) {
        (void)link_refuse_for_time(dialogue);
    } else if (grants) {
        memcpy(dialogue->ending->account, verdict->text.bytes, verdict->text.length);
        dialogue->ending->granted = true;
    } else {
        dialogue->ending->refusal = verdict->value;
    }
}

/* Every frame but VERDICT. */
static enum event serve(struct dialogue *dialogue, const struct incoming *frame)
{
    switch (frame->type) {
    case FRAME_PROMPT:
        return serve_prompt(dialogue, frame);
    case FRAME_CHOICE:
        return serve_choice(dialogue, frame);
    case FRAME_WAIT:
        return serve_wait(dialogue, frame);
    case FRAME_WAITED:
        return serve_waited(dialogue);
    case FRAME_FACT:
        return serve_fact(dialogue, frame);
    case FRAME_MESSAGE:
        tell(dialogue, frame->value == MESSAGE_ERROR ? PAM_ERROR_MSG : PAM_TEXT_INFO, frame->text);
        return EVENT_FRAME;
    case FRAME_LOG:
        serve_log(dialogue, frame);
        return EVENT_FRAME;
    case FRAME_VERDICT:
    case FRAME_REQUEST:
    case FRAME_ANSWER:
        break;
    }
    return link_refuse_for_protocol(dialogue);
}

void dialogue_conduct(pam_handle_t *pamh, const struct request *request, const struct outgoing *frame,
                      const struct supervisor *supervisor, struct ending *ending)
{
    uint8_t bytes[FRAME_MAX];
    struct incoming incoming = {0};
    struct dialogue dialogue = {
        .pamh = pamh,
        .request = request,
        .supervisor = supervisor,
        .ending = ending,
        .machine_left_ms = (int64_t)request->options->machine_s * MS_PER_S,
        .request_end_ms = now_ms() + PAM_SC_REQUEST_S * MS_PER_S,
    };
    *ending = (struct ending){.granted = false, .refusal = PAM_SYSTEM_ERR};
    enum event event = link_send_frame(&dialogue, frame);
    while (event == EVENT_FRAME) {
        event = link_receive_frame(&dialogue, bytes, &incoming);
        if (event == EVENT_FRAME && incoming.type == FRAME_VERDICT) {
            conclude(&dialogue, &incoming);
            break;
        }
        if (event == EVENT_FRAME)
            event = serve(&dialogue, &incoming);
    }
}

void dialogue_forget(struct ending *ending)
{
    explicit_bzero(ending->pin, sizeof ending->pin);
    facts_free(&ending->facts);
}
