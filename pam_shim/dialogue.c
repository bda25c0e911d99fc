/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Speaks with the verifier (docs/protocol.md): sends the request, asks the person what the verifier asks for, hands secrets
 * to the card process alone, and believes one thing, a whole verdict for this very request with nothing after it. It never
 * waits longer than the time that is left, and never puts more questions than a login can need.
 *
 *     what comes                          what is done                                            then
 *     PROMPT, up to 3 for a secret        ask; secret to the card process; ANSWER                 wait on
 *     MESSAGE                             tell the person, unless silent or quiet                 wait on
 *     LOG                                 write it down (debug only if asked for)                 wait on
 *     VERDICT for this nonce, function    keep it; only end of file may follow                    granted or its code
 *     end of file without VERDICT         the supervisor's complaint, if there is one             its code, or SYSTEM_ERR
 *     a byte in the lifeline              the supervisor cannot do its work                       its code
 *     end of the lifeline                 what is on its way in the frames channel counts         SYSTEM_ERR
 *     no time left, and nothing there     see refuse_for_time                                     AUTHINFO_UNAVAIL, AUTH_ERR
 *     anything else                                                                               SYSTEM_ERR
 */

#include "dialogue.h"

#include <errno.h>
#include <poll.h>
#include <security/pam_ext.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>

#include "conversation.h"

/* Limits of human time; the tests of the limits build with shorter ones. */
#ifndef PAM_SC_PROMPT_S
#define PAM_SC_PROMPT_S 120
#endif
#ifndef PAM_SC_REQUEST_S
#define PAM_SC_REQUEST_S 300
#endif

enum { SECRET_PROMPTS_MAX = 3, FRAMES_TOTAL_MAX = 64, LOG_LINE_SIZE = 1024, MS_PER_S = 1000, LAST_WORDS_MS = 200 };

struct dialogue {
    pam_handle_t *pamh;
    const struct request *request;
    const struct supervisor *supervisor;
    struct ending *ending;
    int64_t machine_left_ms;
    int64_t request_end_ms;
    unsigned frames;
    unsigned secret_prompts;
    bool lifeline_ended;
};

/* What waiting for the verifier led to. */
enum event { EVENT_BYTES, EVENT_FRAME, EVENT_END, EVENT_REFUSED };

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

static enum event refuse(struct dialogue *dialogue, int code, const char *why)
{
    dialogue->ending->granted = false;
    dialogue->ending->refusal = code;
    pam_syslog(dialogue->pamh, LOG_ERR, "refused: %s", why);
    return EVENT_REFUSED;
}

/* The verifier ends before this and says why. Who can keep it from running (a control group of the caller's, frozen)
 * must not get "unavailable" for it where a card is required, which only the verifier knows. */
static enum event refuse_for_time(struct dialogue *dialogue)
{
    return refuse(dialogue, dialogue->ending->secret_sent ? PAM_AUTH_ERR : PAM_SYSTEM_ERR,
                  "the card and its checks took too long; raise timeout= if that is usual for this card");
}

/* Read what the supervisor says on the lifeline: one byte of docs/protocol.md, or its end. */
static enum event hear_supervisor(struct dialogue *dialogue)
{
    uint8_t complaint[2];
    const ssize_t length = recv(dialogue->supervisor->lifeline, complaint, sizeof complaint, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return EVENT_BYTES;
    if (length == 0) {
        dialogue->lifeline_ended = true;
        return EVENT_BYTES;
    }
    switch (length == 1 ? complaint[0] : 0) {
    case 1:
        return refuse(dialogue, PAM_SYSTEM_ERR, "a system call of the supervisor failed");
    case 2:
        return refuse(dialogue, PAM_SERVICE_ERR, "the supervisor got no privilege, or could not set its limits");
    case 3:
        return refuse_for_time(dialogue);
    case 4:
        return refuse(dialogue, PAM_SYSTEM_ERR, "the verifier crashed");
    case 5:
        return refuse(dialogue, PAM_SERVICE_ERR,
                      "unsafe owner or mode of the worker, libpython or a search directory; run pam-sc check-config");
    default:
        return refuse(dialogue, PAM_SYSTEM_ERR, "the supervisor broke the protocol");
    }
}

static int64_t time_left(const struct dialogue *dialogue)
{
    const int64_t request_left = dialogue->request_end_ms - now_ms();
    return request_left < dialogue->machine_left_ms ? request_left : dialogue->machine_left_ms;
}

/* Wait until the frames channel is ready for `events`. This alone is machine time. EVENT_BYTES: look, there may be
 * something. What is there already is looked at even when the time is over: whoever stops this very process, or lets a
 * prompt stand, must not turn a refusal that was said in time into one for the time. */
static enum event await(struct dialogue *dialogue, short events)
{
    struct pollfd fds[] = {
        {.fd = dialogue->supervisor->frames, .events = events},
        {.fd = dialogue->lifeline_ended ? -1 : dialogue->supervisor->lifeline, .events = POLLIN},
    };
    const int64_t start = now_ms();
    const int64_t left = time_left(dialogue);
    const int64_t limit = dialogue->lifeline_ended && left > LAST_WORDS_MS ? LAST_WORDS_MS : left;
    const int found = poll(fds, 2, limit > 0 ? (int)limit : 0);
    dialogue->machine_left_ms -= now_ms() - start;
    if (found < 0)
        return errno == EINTR ? EVENT_BYTES : refuse(dialogue, PAM_SYSTEM_ERR, "cannot wait for the verifier");
    if (fds[0].revents != 0)
        return EVENT_BYTES;
    if (fds[1].revents != 0)
        return hear_supervisor(dialogue);
    if (dialogue->lifeline_ended)
        return refuse(dialogue, PAM_SYSTEM_ERR, "the supervisor ended without a verdict");
    return left > 0 ? EVENT_BYTES : refuse_for_time(dialogue);
}

/* The frames channel is closed, and that is all it says; the supervisor may have said why. */
static enum event refuse_for_end(struct dialogue *dialogue)
{
    if (hear_supervisor(dialogue) == EVENT_REFUSED)
        return EVENT_REFUSED;
    return refuse(dialogue, PAM_SYSTEM_ERR, "the verifier ended without a verdict");
}

/* Read at most `wanted` bytes; *got is 0 if there was nothing after all. EVENT_END at end of file. */
static enum event receive(struct dialogue *dialogue, uint8_t *bytes, size_t wanted, size_t *got)
{
    *got = 0;
    const enum event event = await(dialogue, POLLIN);
    if (event != EVENT_BYTES)
        return event;
    const ssize_t length = recv(dialogue->supervisor->frames, bytes, wanted, MSG_DONTWAIT);
    if (length < 0 && errno != EAGAIN && errno != EINTR)
        return refuse_for_end(dialogue);
    *got = length > 0 ? (size_t)length : 0;
    return length == 0 ? EVENT_END : EVENT_BYTES;
}

static enum event receive_frame(struct dialogue *dialogue, uint8_t bytes[FRAME_MAX], struct incoming *frame)
{
    size_t length = 0;
    size_t missing;
    while (frame_progress(bytes, length, &missing) == FRAME_MORE) {
        size_t got;
        const enum event event = receive(dialogue, bytes + length, missing, &got);
        if (event == EVENT_END)
            return refuse_for_end(dialogue);
        if (event == EVENT_REFUSED)
            return event;
        length += got;
    }
    if (!frame_parse(bytes, length, frame) || ++dialogue->frames > FRAMES_TOTAL_MAX)
        return refuse(dialogue, PAM_SYSTEM_ERR, "the verifier broke the protocol");
    return EVENT_FRAME;
}

/* A verifier that reads no more may have said why before: while a person typed, its time was over. So that is no error
 * here, nor is our own time; whoever reads next finds its verdict, or the end. */
static enum event send_frame(struct dialogue *dialogue, const struct outgoing *frame)
{
    size_t sent = 0;
    while (sent < frame->length && time_left(dialogue) > 0) {
        const enum event event = await(dialogue, POLLOUT);
        if (event == EVENT_REFUSED)
            return event;
        const ssize_t length = send(dialogue->supervisor->frames, frame->bytes + sent, frame->length - sent,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (length < 0 && (errno == EPIPE || errno == ECONNRESET))
            return EVENT_FRAME;
        if (length < 0 && errno != EAGAIN && errno != EINTR)
            return refuse_for_end(dialogue);
        sent += length > 0 ? (size_t)length : 0;
    }
    return EVENT_FRAME;
}

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
    return refuse(dialogue, PAM_SYSTEM_ERR, "cannot hand the answer to the card process");
}

static enum event send_answer(struct dialogue *dialogue, enum prompt_style style, struct answer *answer)
{
    struct outgoing frame;
    const bool echoed = style == PROMPT_ECHOED;
    if (!echoed && answer->status == ANSWER_ANSWERED && send_secret(dialogue, answer) == EVENT_REFUSED)
        return EVENT_REFUSED;
    frame_begin(&frame, FRAME_ANSWER);
    frame_put_u8(&frame, (uint8_t)answer->status);
    frame_put(&frame, answer->bytes, echoed ? answer->length : 0);
    (void)frame_end(&frame); /* an answer is always shorter than a frame */
    const enum event event = send_frame(dialogue, &frame);
    explicit_bzero(frame.bytes, frame.length); /* people type secrets where they can be seen */
    return event;
}

/* An answer that came too late, or is no text where a text goes, counts as none. */
static void drop_useless_answer(const struct dialogue *dialogue, enum prompt_style style, int64_t asked_ms,
                                struct answer *answer)
{
    const bool late = now_ms() - asked_ms > PAM_SC_PROMPT_S * MS_PER_S || now_ms() > dialogue->request_end_ms;
    const bool garbled = style == PROMPT_ECHOED && !text_is_plain((struct span){answer->bytes, answer->length});
    if (late || garbled) {
        explicit_bzero(answer, sizeof *answer);
        answer->status = ANSWER_NOT_GIVEN;
    }
}

static enum event serve_prompt(struct dialogue *dialogue, const struct incoming *prompt)
{
    const enum prompt_style style = (enum prompt_style)prompt->value;
    const unsigned stacked = OPTION_TRY_FIRST_PASS | OPTION_USE_FIRST_PASS;
    const int64_t asked_ms = now_ms();
    struct answer answer = {.status = ANSWER_NOT_STACKED};
    if (time_left(dialogue) <= 0)
        return refuse_for_time(dialogue);
    if (style != PROMPT_ECHOED && ++dialogue->secret_prompts > SECRET_PROMPTS_MAX)
        return refuse(dialogue, PAM_SYSTEM_ERR, "the verifier asks for more secrets than a login needs");
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
    drop_useless_answer(dialogue, style, asked_ms, &answer);
    const enum event event = send_answer(dialogue, style, &answer);
    explicit_bzero(&answer, sizeof answer);
    return event;
}

static void serve_message(const struct dialogue *dialogue, const struct incoming *message)
{
    const bool silent = ((unsigned)dialogue->request->pam_flags & PAM_SILENT) != 0 ||
                        (dialogue->request->options->flags & OPTION_QUIET) != 0;
    if (!silent)
        conversation_tell(dialogue->pamh, message->value == MESSAGE_ERROR ? PAM_ERROR_MSG : PAM_TEXT_INFO,
                          message->text);
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
        return true;
    case PAM_AUTHTOK_ERR:
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
        (void)refuse(dialogue, PAM_SYSTEM_ERR, "the verdict is none for this request");
        return;
    }
    while (event == EVENT_BYTES) {
        uint8_t more;
        size_t got;
        event = receive(dialogue, &more, sizeof more, &got);
        if (got > 0)
            event = refuse(dialogue, PAM_SYSTEM_ERR, "the verifier went on after its verdict");
    }
    if (event != EVENT_END) {
        dialogue->ending->refusal = PAM_SYSTEM_ERR; /* whatever else was wrong: a verdict without its end */
    } else if (grants && time_left(dialogue) <= 0) {
        (void)refuse_for_time(dialogue);
    } else if (grants) {
        memcpy(dialogue->ending->account, verdict->text.bytes, verdict->text.length);
        dialogue->ending->granted = true;
    } else {
        dialogue->ending->refusal = verdict->value;
    }
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
    enum event event = send_frame(&dialogue, frame);
    while (event == EVENT_FRAME) {
        event = receive_frame(&dialogue, bytes, &incoming);
        if (event != EVENT_FRAME)
            break;
        if (incoming.type == FRAME_VERDICT) {
            conclude(&dialogue, &incoming);
            break;
        }
        if (incoming.type == FRAME_PROMPT)
            event = serve_prompt(&dialogue, &incoming);
        else if (incoming.type == FRAME_MESSAGE)
            serve_message(&dialogue, &incoming);
        else
            serve_log(&dialogue, &incoming);
    }
}
