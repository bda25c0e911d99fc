/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shim's ends of the frames channel and the lifeline: whole frames in both directions, and the time. It never waits
 * longer than the time that is left, and knows of a frame's meaning only whether a WAIT runs, because then the time is a
 * person's and a signal is their word.
 *
 *     what comes                          what is done                                            then
 *     bytes of a frame                    read, to its end and no further                         the frame
 *     end of file                         the supervisor's complaint, if there is one             its code, or SYSTEM_ERR
 *     a byte in the lifeline              the supervisor cannot do its work                       its code
 *     end of the lifeline                 what is on its way in the frames channel counts         SYSTEM_ERR
 *     a signal that the host catches      in a WAIT: ANSWER not given, but for BY_THE_WAY         wait on
 *     TO_END, which the host blocks       the same                                                wait on
 *     no time left, and nothing there     see link_refuse_for_time                                SYSTEM_ERR, AUTH_ERR
 */

#include "link.h"

#include <errno.h>
#include <poll.h>
#include <security/pam_ext.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>

#include "conversation.h"

enum { FRAMES_TOTAL_MAX = 64, LAST_WORDS_MS = 200, PUT_OFF_MS = 500 };

/* What hosts catch that is nobody's word: a child has ended, a window has another size, a host goes on after a stop, a
 * runtime or a profiler has its threads look up. */
static const int BY_THE_WAY[] = {SIGCHLD, SIGWINCH, SIGCONT, SIGURG, SIGIO, SIGPROF, SIGVTALRM};

/* What counts as a word even where the host has blocked it. */
static const int TO_END[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / 1000000;
}

enum event link_refuse(struct dialogue *dialogue, int code, const char *why)
{
    dialogue->ending->granted = false;
    dialogue->ending->refusal = code;
    pam_syslog(dialogue->pamh, LOG_ERR, "refused: %s", why);
    return EVENT_REFUSED;
}

/* The verifier ends before this and says why. Who can keep it from running (a control group of the caller's, frozen)
 * must not get "unavailable" for it where a card is required, which only the verifier knows. */
enum event link_refuse_for_time(struct dialogue *dialogue)
{
    return link_refuse(dialogue, dialogue->ending->secret_sent ? PAM_AUTH_ERR : PAM_SYSTEM_ERR,
                       "the card and its checks took too long; raise timeout= if that is usual for this card");
}

enum event link_refuse_for_protocol(struct dialogue *dialogue)
{
    return link_refuse(dialogue, PAM_SYSTEM_ERR, "the verifier broke the protocol");
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
        return link_refuse(dialogue, PAM_SYSTEM_ERR, "a system call of the supervisor failed");
    case 2:
        return link_refuse(dialogue, PAM_SERVICE_ERR, "the supervisor got no privilege, or could not set its limits");
    case 3:
        return link_refuse_for_time(dialogue);
    case 4:
        return link_refuse(dialogue, PAM_SYSTEM_ERR, "the verifier crashed");
    case 5:
        return link_refuse(
            dialogue, PAM_SERVICE_ERR,
            "unsafe owner or mode of the worker, libpython or a search directory; run pam-sc check-config");
    default:
        return link_refuse(dialogue, PAM_SYSTEM_ERR, "the supervisor broke the protocol");
    }
}

int64_t link_time_left(const struct dialogue *dialogue)
{
    const int64_t request_left = dialogue->request_end_ms - now_ms();
    if (dialogue->wait == WAIT_RUNS)
        return request_left;
    return request_left < dialogue->machine_left_ms ? request_left : dialogue->machine_left_ms;
}

/* Whether the host was told to end and only has it put off: sudo blocks SIGINT and SIGQUIT while it authenticates, so that
 * Ctrl-C waits for the end of a WAIT. It is left pending, and the host does with it what it means to. */
static bool is_told_to_end(void)
{
    sigset_t pending;
    if (sigpending(&pending) != 0)
        return false;
    for (size_t i = 0; i < sizeof TO_END / sizeof TO_END[0]; i++) {
        struct sigaction action;
        if (sigismember(&pending, TO_END[i]) == 1 && sigaction(TO_END[i], NULL, &action) == 0 &&
            ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_IGN))
            return true;
    }
    return false;
}

/* poll in a WAIT, where EINTR is to be the word of a person. What comes by the way is put off, a moment at most: the mask
 * of this thread is another only while it sleeps here. */
static int poll_for_person(struct pollfd fds[2], int limit)
{
    sigset_t mask;
    const int most = limit < PUT_OFF_MS ? limit : PUT_OFF_MS;
    if (is_told_to_end()) {
        errno = EINTR;
        return -1;
    }
    const struct timespec span = {.tv_sec = most / MS_PER_S, .tv_nsec = most % MS_PER_S * 1000000L};
    if (pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0)
        return poll(fds, 2, most);
    for (size_t i = 0; i < sizeof BY_THE_WAY / sizeof BY_THE_WAY[0]; i++)
        (void)sigaddset(&mask, BY_THE_WAY[i]);
    return ppoll(fds, 2, &span, &mask);
}

/* Wait until the frames channel is ready for `events`. This alone is machine time, and a WAIT is not. EVENT_BYTES: look,
 * there may be something. What is there already is looked at even when the time is over: whoever stops this very
 * process, or lets a prompt stand, must not turn a refusal that was said in time into one for the time. */
static enum event await(struct dialogue *dialogue, short events)
{
    struct pollfd fds[] = {
        {.fd = dialogue->supervisor->frames, .events = events},
        {.fd = dialogue->lifeline_ended ? -1 : dialogue->supervisor->lifeline, .events = POLLIN},
    };
    const int64_t start = now_ms();
    const int64_t left = link_time_left(dialogue);
    const int64_t limit = dialogue->lifeline_ended && left > LAST_WORDS_MS ? LAST_WORDS_MS : left;
    const int span = limit > 0 ? (int)limit : 0;
    const int found = dialogue->wait == WAIT_RUNS ? poll_for_person(fds, span) : poll(fds, 2, span);
    if (dialogue->wait != WAIT_RUNS)
        dialogue->machine_left_ms -= now_ms() - start;
    if (found < 0)
        return errno == EINTR ? EVENT_SIGNAL : link_refuse(dialogue, PAM_SYSTEM_ERR, "cannot wait for the verifier");
    if (fds[0].revents != 0)
        return EVENT_BYTES;
    if (fds[1].revents != 0)
        return hear_supervisor(dialogue);
    if (dialogue->lifeline_ended)
        return link_refuse(dialogue, PAM_SYSTEM_ERR, "the supervisor ended without a verdict");
    return left > 0 ? EVENT_BYTES : link_refuse_for_time(dialogue);
}

/* The frames channel is closed, and that is all it says; the supervisor may have said why. */
static enum event refuse_for_end(struct dialogue *dialogue)
{
    if (hear_supervisor(dialogue) == EVENT_REFUSED)
        return EVENT_REFUSED;
    return link_refuse(dialogue, PAM_SYSTEM_ERR, "the verifier ended without a verdict");
}

/* A signal came while poll slept. In a WAIT nobody is asked, so no conversation is there in which a person could cancel:
 * that a host caught a signal, as sudo does Ctrl-C, is the only word there is, and passed over it would keep them at the
 * terminal to the end of the time. So it is with an alarm: then the host's patience is over. Hosts without a handler for it are ended by it, and the lifeline with them. */
static enum event cancel_wait(struct dialogue *dialogue)
{
    if (dialogue->wait != WAIT_RUNS)
        return EVENT_BYTES;
    dialogue->wait = WAIT_CANCELLED;
    const enum event event = link_send_answer(dialogue, ANSWER_NOT_GIVEN, (struct span){NULL, 0});
    return event == EVENT_FRAME ? EVENT_BYTES : event;
}

enum event link_receive(struct dialogue *dialogue, uint8_t *bytes, size_t wanted, size_t *got)
{
    *got = 0;
    const enum event event = await(dialogue, POLLIN);
    if (event == EVENT_SIGNAL)
        return cancel_wait(dialogue);
    if (event != EVENT_BYTES)
        return event;
    const ssize_t length = recv(dialogue->supervisor->frames, bytes, wanted, MSG_DONTWAIT);
    if (length < 0 && errno != EAGAIN && errno != EINTR)
        return refuse_for_end(dialogue);
    *got = length > 0 ? (size_t)length : 0;
    return length == 0 ? EVENT_END : EVENT_BYTES;
}

enum event link_receive_frame(struct dialogue *dialogue, uint8_t bytes[FRAME_MAX], struct incoming *frame)
{
    size_t length = 0;
    size_t missing;
    while (frame_progress(bytes, length, &missing) == FRAME_MORE) {
        size_t got;
        const enum event event = link_receive(dialogue, bytes + length, missing, &got);
        if (event == EVENT_END)
            return refuse_for_end(dialogue);
        if (event == EVENT_REFUSED)
            return event;
        length += got;
    }
    if (!frame_parse(bytes, length, frame) || ++dialogue->frames > FRAMES_TOTAL_MAX)
        return link_refuse_for_protocol(dialogue);
    return EVENT_FRAME;
}

/* A verifier that reads no more may have said why before: while a person typed, its time was over. So that is no error
 * here, nor is our own time; whoever reads next finds its verdict, or the end. */
enum event link_send_frame(struct dialogue *dialogue, const struct outgoing *frame)
{
    size_t sent = 0;
    while (sent < frame->length && link_time_left(dialogue) > 0) {
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

enum event link_send_answer(struct dialogue *dialogue, uint8_t status, struct span text)
{
    struct outgoing frame;
    frame_begin(&frame, FRAME_ANSWER);
    frame_put_u8(&frame, status);
    frame_put(&frame, text.bytes, text.length);
    (void)frame_end(&frame); /* an answer is always shorter than a frame */
    const enum event event = link_send_frame(dialogue, &frame);
    explicit_bzero(frame.bytes, frame.length); /* people type secrets where they can be seen */
    return event;
}
