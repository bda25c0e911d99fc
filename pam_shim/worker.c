/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pam_sc_worker, as the shim starts it: the supervisor. It takes back the privilege that the host has, starts the
 * verifier and the card process, and those of the OPTIONAL processes that the verifier wants, stops the time, and ends
 * everything when the host is gone, the time is over or the verifier has ended. It holds neither frames nor secrets once
 * they run, runs no Python, and never grants anything: what it says to the shim are failures.
 *
 *   state      H      W      M        K                          N, R, P or D               else from the verifier
 *   machine    human  wait   ends     the card process is dead   that process is started;   ends
 *                                                                the same again: ends
 *   human      ends   ends   machine  the card process is dead   ends                       ends
 *   wait       ends   ends   machine  the card process is dead   ends                       ends
 *
 * Time of the states: machine, that of the order in all; human, 120 s for each, and wait, both within 300 s in all.
 * Lifeline or host closed: ends. Time of the state over: ends, report 3. Verifier over: ends, report 4 unless exit(0).
 * Card process or an optional process over: goes on; the verifier sees the end of its channel.
 */
#include "worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
#include "home_reader.h"
#include "interpreter.h"
#include "privilege.h"
#include "sandbox.h"

#define GRACE_MS 1000
#define MACHINE_SECONDS_MAX 3600
#define PROMPT_MS (120 * 1000 + GRACE_MS)
#define HUMAN_MS (300 * 1000 + GRACE_MS)
#define BURY_MS 1500
#define GOES_ON (-1)

/* The processes that a login starts only if the verifier says so, each at most once, in the order of their channels. */
static const struct {
    char letter;
    const char *role;
} OPTIONAL[] = {{'N', "network"}, {'R', "homes"}, {'P', "programs"}, {'D', "directory"}};
enum { OPTIONALS = sizeof(OPTIONAL) / sizeof(OPTIONAL[0]), VERIFIER_FIRST_OPTIONAL = 3 };

struct login {
    struct child verifier;
    struct child card;
    struct child optional[OPTIONALS];
    const char *path;
    int control;
    int ends[OPTIONALS]; /* each kept for the optional process until it is started, then -1 */
    bool human;          /* the states human and wait, which differ in prompt_left alone */
    int64_t since;
    int64_t machine_left;
    int64_t human_left;
    int64_t prompt_left;
};

static void report(enum report what)
{
    unsigned char byte = (unsigned char)what;

    if (what != REPORT_NONE)
        (void)send(SUPERVISOR_LIFELINE, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Nothing of the host is left but the four descriptors and the identity. */
static int forget_host(void)
{
    sigset_t none;
    int null;

    /* Fails for those that cannot be changed: SIGKILL, SIGSTOP, and the two that the C library keeps for itself. */
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)umask(077);
    (void)setsid();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 || chdir("/") < 0)
        return -1;
    for (int standard = 0; standard <= 2; standard++) {
        if (null != standard && dup2(null, standard) < 0)
            return -1;
    }
    for (int own = SUPERVISOR_FRAMES; own < SUPERVISOR_DESCRIPTORS; own++) {
        if (fcntl(own, F_SETFD, FD_CLOEXEC) < 0)
            return -1;
    }
    return (int)syscall(SYS_close_range, SUPERVISOR_DESCRIPTORS, ~0U, 0);
}

static int read_order(struct order *order)
{
    unsigned char bytes[ORDER_SIZE + 1];
    uint32_t words[ORDER_SIZE / 4];

    memset(order, 0, sizeof(*order));
    if (recv(SUPERVISOR_LIFELINE, bytes, sizeof(bytes), MSG_DONTWAIT) != ORDER_SIZE || memcmp(bytes, "PSC1", 4) != 0)
        return -1;
    memcpy(words, bytes, sizeof(words));
    for (size_t i = 0; i < ORDER_IDS; i++)
        order->ids[i] = ntohl(words[1 + i]);
    order->at_secure = ntohl(words[1 + ORDER_IDS]);
    order->machine_seconds = ntohl(words[2 + ORDER_IDS]);
    return order->machine_seconds >= 1 && order->machine_seconds <= MACHINE_SECONDS_MAX ? 0 : -1;
}

/* Make the channel of each optional process: the verifier's ends, and those that are kept. */
static int make_optional_channels(struct login *login, int *verifier_ends)
{
    for (size_t i = 0; i < OPTIONALS; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return -1;
        verifier_ends[i] = pair[0];
        login->ends[i] = pair[1];
    }
    return 0;
}

/* Start both processes. Whatever happens, the supervisor's copies of their descriptors are closed afterwards. */
static int start_both(struct login *login)
{
    int control[2] = {-1, -1};
    int channel[2] = {-1, -1};
    int verifier[VERIFIER_FIRST_OPTIONAL + OPTIONALS];
    int result = -1;

    for (size_t i = 0; i < OPTIONALS; i++)
        verifier[VERIFIER_FIRST_OPTIONAL + i] = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0 &&
        make_optional_channels(login, verifier + VERIFIER_FIRST_OPTIONAL) == 0) {
        const int card[] = {SUPERVISOR_SECRETS, channel[1]};

        verifier[0] = SUPERVISOR_FRAMES;
        verifier[1] = channel[0];
        verifier[2] = control[1];
        result = start_child(&login->card, login->path, "card", card, 2);
        if (result == 0)
            result = start_child(&login->verifier, login->path, "verifier", verifier,
                                 sizeof(verifier) / sizeof(verifier[0]));
    }
    login->control = control[0];
    (void)close(SUPERVISOR_FRAMES);
    (void)close(SUPERVISOR_SECRETS);
    (void)close(control[1]);
    (void)close(channel[0]);
    (void)close(channel[1]);
    for (size_t i = 0; i < OPTIONALS; i++)
        (void)close(verifier[VERIFIER_FIRST_OPTIONAL + i]);
    return result;
}

/* Take the time since the last call off the limits that were running. */
static void count_time(struct login *login)
{
    int64_t now = now_ms();
    int64_t passed = now - login->since;

    login->since = now;
    if (login->human) {
        login->human_left -= passed;
        login->prompt_left -= passed;
    } else {
        login->machine_left -= passed;
    }
}

static int64_t time_left(const struct login *login)
{
    if (!login->human)
        return login->machine_left;
    return login->human_left < login->prompt_left ? login->human_left : login->prompt_left;
}

/* The verifier asks for the end of the card process. The answer says that it is dead, so it is not given before. */
static int end_card(struct login *login)
{
    int failed;

    kill_child(&login->card);
    if (!bury_child(&login->card, now_ms() + BURY_MS, &failed))
        return REPORT_SYSTEM;
    return send(login->control, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? GOES_ON : REPORT_SYSTEM;
}

/* Which optional process the verifier means; OPTIONALS for none. */
static size_t find_optional(char letter)
{
    size_t which = 0;

    while (which < OPTIONALS && OPTIONAL[which].letter != letter)
        which++;
    return which;
}

/* The verifier asks for an optional process, each at most once. It gets no answer but on that process's channel. */
static int start_optional(struct login *login, size_t which)
{
    int result;

    if (login->human || login->ends[which] < 0)
        return REPORT_VERIFIER_FAILED;
    result = start_child(&login->optional[which], login->path, OPTIONAL[which].role, &login->ends[which], 1);
    (void)close(login->ends[which]);
    login->ends[which] = -1;
    return result == 0 ? GOES_ON : REPORT_SYSTEM;
}

/* What the verifier said on the control channel, as the table above has it. */
static int hear_verifier(struct login *login)
{
    char message[2] = {0, 0};
    ssize_t length = recv(login->control, message, sizeof(message), MSG_DONTWAIT);

    if (length == 0) {
        /* Its end is closed: it is ending, which its pidfd will say, in machine time. */
        (void)close(login->control);
        login->control = -1;
        login->human = false;
        return GOES_ON;
    }
    if (length != 1)
        return REPORT_VERIFIER_FAILED;
    if (message[0] == 'K')
        return end_card(login);
    if (find_optional(message[0]) < OPTIONALS)
        return start_optional(login, find_optional(message[0]));
    if (login->human ? message[0] != 'M' : message[0] != 'H' && message[0] != 'W')
        return REPORT_VERIFIER_FAILED;
    login->human = !login->human;
    login->prompt_left = message[0] == 'W' ? HUMAN_MS : PROMPT_MS; /* nobody is asked while a card is waited for */
    return GOES_ON;
}

/* Wait for one thing to happen, and say how the login ends, or GOES_ON. */
static int watch_once(struct login *login)
{
    struct pollfd watched[5 + OPTIONALS] = {
        {.fd = SUPERVISOR_LIFELINE, .events = POLLIN}, {.fd = SUPERVISOR_HOST, .events = POLLIN},
        {.fd = login->control, .events = POLLIN},      {.fd = login->verifier.pidfd, .events = POLLIN},
        {.fd = login->card.pidfd, .events = POLLIN},
    };
    int64_t left = time_left(login);
    int ready;
    int failed;

    if (left <= 0)
        return REPORT_TIME_OVER;
    for (size_t i = 0; i < OPTIONALS; i++)
        watched[5 + i] = (struct pollfd){.fd = login->optional[i].pidfd, .events = POLLIN};
    ready = poll(watched, sizeof(watched) / sizeof(watched[0]), (int)left);
    count_time(login);
    if (ready < 0)
        return errno == EINTR ? GOES_ON : REPORT_SYSTEM;
    if (watched[0].revents != 0 || watched[1].revents != 0)
        return REPORT_NONE;
    /* The dead first: whoever heard of an end finds the process buried when the next word is answered. */
    if (watched[4].revents != 0)
        (void)bury_child(&login->card, now_ms(), &failed);
    for (size_t i = 0; i < OPTIONALS; i++) {
        if (watched[5 + i].revents != 0)
            (void)bury_child(&login->optional[i], now_ms(), &failed);
    }
    if (watched[2].revents != 0)
        return hear_verifier(login);
    if (watched[3].revents != 0)
        return bury_child(&login->verifier, now_ms(), &failed) && !failed ? REPORT_NONE : REPORT_VERIFIER_FAILED;
    return GOES_ON;
}

/*
 * The shim hears why before it sees the frames end; then all are killed, and the card process is buried first. What a
 * program has started outlives the program runner, which could not end it any more, and is ended last.
 */
static void end_all(struct login *login, enum report why)
{
    int64_t deadline = now_ms() + BURY_MS;
    int failed;

    report(why);
    kill_child(&login->card);
    for (size_t i = 0; i < OPTIONALS; i++)
        kill_child(&login->optional[i]);
    kill_child(&login->verifier);
    (void)bury_child(&login->card, deadline, &failed);
    for (size_t i = 0; i < OPTIONALS; i++)
        (void)bury_child(&login->optional[i], deadline, &failed);
    (void)bury_child(&login->verifier, deadline, &failed);
    end_orphans(deadline);
}

static void supervise(const char *path, const struct order *order)
{
    struct login login = {
        .verifier = {-1},
        .card = {-1},
        .path = path,
        .control = -1,
        .since = now_ms(),
        .machine_left = (int64_t)order->machine_seconds * 1000 + GRACE_MS,
        .human_left = HUMAN_MS,
        .prompt_left = PROMPT_MS,
    };
    int end;

    for (size_t i = 0; i < OPTIONALS; i++)
        login.optional[i].pidfd = login.ends[i] = -1;
    end = start_both(&login) == 0 ? GOES_ON : REPORT_SYSTEM;
    while (end == GOES_ON)
        end = watch_once(&login);
    end_all(&login, (enum report)end);
}

/* Everything that has to hold before a process is started. */
static enum report prepare(struct order *order, struct installation *found)
{
    bool privilege;

    if (forget_host() < 0 || read_order(order) < 0)
        return REPORT_SYSTEM;
    privilege = has_privilege(order);
    if (privilege && take_privilege() < 0)
        return REPORT_NO_PRIVILEGE;
    if (set_own_limits(privilege) < 0)
        return REPORT_NO_PRIVILEGE;
    if (privilege)
        raise_process_limit();
    if (forbid_dumps() < 0 || adopt_their_children() < 0)
        return REPORT_SYSTEM;
    if (!find_installation(found) || !trusted_installation(found, privilege ? 0 : getuid()))
        return REPORT_UNSAFE_FILES;
    return REPORT_NONE;
}

static int run_supervisor(void)
{
    struct installation found;
    struct order order;
    enum report failure = prepare(&order, &found);

    if (failure == REPORT_NONE)
        supervise(found.worker, &order);
    else
        report(failure);
    return failure == REPORT_NONE ? 0 : EXIT_CRASHED;
}

static int run_role(const char *role)
{
    struct installation found;

    if (forbid_dumps() < 0 || !find_installation(&found))
        return EXIT_UNSAFE;
    if (strcmp(role, "verifier") == 0)
        run_python(&found, "pam_sc.worker");
    if (strcmp(role, "card") == 0)
        run_python(&found, "pam_sc.card.process");
    if (strcmp(role, "watcher") == 0)
        run_python(&found, "pam_sc.card.watcher");
    if (strcmp(role, "network") == 0 || strcmp(role, "directory") == 0)
        run_python(&found, "pam_sc.network.process");
    if (strcmp(role, "programs") == 0)
        run_python(&found, "pam_sc.programs.process");
    if (strcmp(role, "homes") == 0)
        return run_home_reader();
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return run_supervisor();
    return argc == 2 ? run_role(argv[1]) : EXIT_USAGE;
}
