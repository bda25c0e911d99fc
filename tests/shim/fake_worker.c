/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A worker that behaves as the last component of config= says; without one it grants. Supervisor, verifier and card process
 * in one, with descriptors 3 (frames), 4 (secrets), 5 (lifeline), 6 (the host). Reads docs/protocol.md as a peer would,
 * sharing no code with the shim. The behaviours are the table at the end. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 3, SECRETS = 4, LIFELINE = 5, HOST = 6 };

struct field {
    const uint8_t *bytes;
    uint32_t length;
};

static uint8_t request[9000];
static struct field fields[64];
static unsigned field_count;
static uint8_t order[64];
static ssize_t order_length;
static char **arguments;

static uint32_t u32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put32(uint8_t *b, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void must(int holds)
{
    if (!holds)
        _exit(9);
}

static void read_all(int fd, void *to, size_t length)
{
    for (size_t got = 0; got < length;) {
        const ssize_t n = read(fd, (uint8_t *)to + got, length - got);
        must(n > 0);
        got += (size_t)n;
    }
}

/* Leaves the payload in `payload` and returns its fields. */
static uint8_t read_frame(uint8_t *payload, struct field *to, unsigned *count)
{
    uint8_t header[8];
    read_all(FRAMES, header, 8);
    const uint32_t length = u32(header + 4);
    must(length <= 8192 && !header[1] && !header[2] && !header[3]);
    read_all(FRAMES, payload, length);
    *count = 0;
    for (uint32_t at = 0; at < length;) {
        must(at + 4 <= length && *count < 64);
        to[*count] = (struct field){payload + at + 4, u32(payload + at)};
        must(to[*count].length <= length - at - 4);
        at += 4 + to[(*count)++].length;
    }
    return header[0];
}

struct frame {
    uint8_t bytes[70000];
    size_t length;
};
static struct frame out;

static void begin(uint8_t type)
{
    memset(out.bytes, 0, 8);
    out.bytes[0] = type;
    out.length = 8;
}

static void add(const void *bytes, size_t length)
{
    put32(out.bytes + out.length, (uint32_t)length);
    memcpy(out.bytes + out.length + 4, bytes, length);
    out.length += 4 + length;
    put32(out.bytes + 4, (uint32_t)(out.length - 8));
}

static void add8(uint8_t v)
{
    add(&v, 1);
}

static void put(size_t length)
{
    must(send(FRAMES, out.bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
}

static void say(uint8_t type, uint8_t value, const char *text)
{
    begin(type);
    add8(value);
    add(text, strlen(text));
    put(out.length);
}

static void logf_(const char *format, ...)
{
    char line[900];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say(0x12, 6, line);
}

static void make_verdict(uint8_t code)
{
    begin(0x13);
    add(fields[1].bytes, 32);
    add8(fields[2].bytes[0]);
    if (fields[5].length > 0)
        add(fields[5].bytes, fields[5].length);
    else
        add("alice", 5);
    add8(code);
}

static void verdict(uint8_t code)
{
    make_verdict(code);
    put(out.length);
}

static void finish(void)
{
    shutdown(FRAMES, SHUT_RDWR);
}

static void grant(const char *b)
{
    (void)b;
    verdict(0);
    finish();
}

/* Ask, and say what came back; returns the status. */
static uint8_t ask(uint8_t style, const char *text)
{
    static uint8_t payload[9000];
    struct field answer[64];
    unsigned count;
    say(0x10, style, text);
    must(read_frame(payload, answer, &count) == 0x02 && count == 2 && answer[0].length == 1);
    const uint8_t status = answer[0].bytes[0];
    logf_("answer %d echoed '%.*s'", status, (int)answer[1].length, (const char *)answer[1].bytes);
    return status;
}

/* What is in the secrets channel now. */
static int take_secret(char *to)
{
    uint8_t length[4];
    if (recv(SECRETS, length, 4, MSG_DONTWAIT | MSG_PEEK) != 4)
        return -1;
    read_all(SECRETS, length, 4);
    must(u32(length) >= 1 && u32(length) <= 512);
    read_all(SECRETS, to, u32(length));
    return (int)u32(length);
}

static void pin(const char *b)
{
    char secret[513] = "";
    (void)b;
    const uint8_t status = ask(1, "PIN for the card: ");
    const int length = take_secret(secret);
    logf_("secret of %d bytes", length);
    if (status == 1 && length == 6 && memcmp(secret, "Zq71#x", 6) == 0)
        grant("");
    else
        verdict(status == 4 || status == 6 ? 19 : status == 5 ? 31 : 7), finish();
}

static void stacked(const char *b)
{
    char secret[513];
    (void)b;
    const uint8_t status = ask(3, "");
    logf_("secret of %d bytes", take_secret(secret));
    verdict(status == 1 ? 0 : 7);
    finish();
}

static void echoed(const char *b)
{
    (void)b;
    ask(2, "Account: ");
    grant("");
}

static void hostile_texts(const char *b)
{
    (void)b;
    say(0x11, 1, "card \x1b[2J\r\n\xc2\x9b" "31m\xe2\x80\xae" "evil\xff\xed\xa0\x80 %s%n \xc3\xa9\xf0\x9f\x98\x80");
    say(0x11, 2, "an error\x7f");
    say(0x12, 5, "line one\nauthenticated %n");
    say(0x12, 7, "only for debug");
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text + 510, "\xc3\xa9", 2);
    ask(2, text);
    grant("");
}

static void report_status_line(const char *key)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, key, strlen(key)) == 0)
            logf_("%.*s", (int)strcspn(line, "\n"), line);
    fclose(status);
}

static void report(const char *b)
{
    (void)b;
    char list[200] = "", path[300], target[200];
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        const ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        logf_("fd %s %s", e->d_name, strncmp(target, "socket", 6) == 0 ? "socket" : target);
        strcat(list, e->d_name);
        strcat(list, " ");
    }
    closedir(dir);
    logf_("fds %s", list);
    for (char **e = environ; *e; e++)
        logf_("env %s", *e);
    for (char **a = arguments; *a; a++)
        logf_("arg %s", *a);
    report_status_line("SigBlk:");
    report_status_line("SigIgn:");
    report_status_line("SigCgt:");
    report_status_line("Uid:");
    logf_("session %s", getsid(0) == getpid() ? "own" : "inherited");
    logf_("parent %d", getppid());
    logf_("secure %lu", getauxval(AT_SECURE));
    logf_("order %zd %.4s uids %u %u %u gids %u %u %u secure %u time %u", order_length, (char *)order, u32(order + 4),
          u32(order + 8), u32(order + 12), u32(order + 16), u32(order + 20), u32(order + 24), u32(order + 28),
          u32(order + 32));
    logf_("fields %u", field_count);
    logf_("version %u nonce %u function %u flags %u", u32(fields[0].bytes), fields[1].length, fields[2].bytes[0],
          u32(fields[3].bytes));
    static const char *const names[] = {"service", "account", "rhost", "ruser", "tty"};
    for (int i = 0; i < 5; i++)
        logf_("%s '%.*s'", names[i], (int)fields[4 + i].length, (const char *)fields[4 + i].bytes);
    const uint8_t *ids = fields[9].bytes;
    logf_("ids %u: %u %u %u %u %u %u", fields[9].length, u32(ids), u32(ids + 4), u32(ids + 8), u32(ids + 12),
          u32(ids + 16), u32(ids + 20));
    logf_("at_secure %u options %u config '%.*s' time %u", fields[10].bytes[0], u32(fields[11].bytes),
          (int)fields[12].length, (const char *)fields[12].bytes, u32(fields[13].bytes));
    logf_("arguments '%.*s'", (int)fields[14].length, (const char *)fields[14].bytes);
    logf_("language '%.*s' token '%.*s' extensions %u", (int)fields[15].length, (const char *)fields[15].bytes,
          (int)fields[16].length, (const char *)fields[16].bytes, u32(fields[17].bytes));
    struct pollfd host = {.fd = HOST, .events = POLLIN};
    logf_("host %s", poll(&host, 1, 0) == 0 ? "alive" : "gone");
    grant("");
}

/* Until the lifeline ends, as a supervisor does. */
static void wait_for_end(void)
{
    char byte;
    while (recv(LIFELINE, &byte, 1, 0) > 0)
        ;
    _exit(0);
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

/* What a supervisor owes: a child that works, and both gone when the host is. */
static void honour(const char *b)
{
    logf_("pid %d", getpid());
    const pid_t child = fork();
    if (child == 0) {
        logf_("pid %d", getpid());
        if (strcmp(b, "honour-prompt") == 0)
            say(0x10, 1, "PIN: ");
        wait_for_ever();
    }
    close(FRAMES);
    close(SECRETS);
    struct pollfd watched[] = {{.fd = LIFELINE, .events = POLLIN}, {.fd = HOST, .events = POLLIN}};
    while (poll(watched, 2, -1) <= 0)
        ;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void exit_zero(const char *b) { (void)b; }
static void exit_at_once(const char *b) { (void)b; _exit(0); }
static void killed(const char *b) { (void)b; raise(SIGKILL); }
static void crashes(const char *b) { (void)b; raise(SIGSEGV); }
static void stopped(const char *b) { (void)b; raise(SIGSTOP); }
static void hangs(const char *b) { (void)b; wait_for_ever(); }

static void hangs_after_pin(const char *b)
{
    (void)b;
    ask(1, "PIN: ");
    wait_for_end();
}

static void half_header(const char *b) { (void)b; make_verdict(0); put(5); }
static void half_frame(const char *b) { (void)b; make_verdict(0); put(out.length - 3); }
static void half_frame_hang(const char *b) { half_frame(b); wait_for_end(); }

static void unknown_frame(const char *b)
{
    (void)b;
    begin(0x18);
    put(8);
    grant("");
}

static void request_frame(const char *b)
{
    (void)b;
    say(0x02, 1, "");
    grant("");
}

static void reserved_bytes(const char *b) { (void)b; make_verdict(0); out.bytes[2] = 1; put(out.length); }
static void two_verdicts(const char *b) { (void)b; verdict(0); verdict(0); finish(); }
static void denied_then_granted(const char *b) { (void)b; verdict(7); verdict(0); finish(); }
static void trailing_byte(const char *b) { (void)b; make_verdict(0); out.bytes[out.length] = 0; put(out.length + 1); finish(); }
static void no_end(const char *b) { (void)b; verdict(0); wait_for_end(); }
static void denied_no_end(const char *b) { (void)b; verdict(7); wait_for_end(); }

static void wrong_nonce(const char *b) { (void)b; make_verdict(0); out.bytes[12 + 31] ^= 1; put(out.length); finish(); }
static void wrong_nonce_denied(const char *b) { (void)b; make_verdict(7); out.bytes[12] ^= 1; put(out.length); finish(); }
static void wrong_function(const char *b) { (void)b; make_verdict(0); out.bytes[48] = 2; put(out.length); finish(); }

static void account_verdict(const char *account, size_t length)
{
    begin(0x13);
    add(fields[1].bytes, 32);
    add8(1);
    add(account, length);
    add8(0);
    put(out.length);
    finish();
}

static void wrong_account(const char *b) { (void)b; account_verdict("mallory", 7); }
static void asks_wrong_account(const char *b) { ask(1, "PIN: "); wrong_account(b); }
static void prefix_account(const char *b) { (void)b; account_verdict("alic", 4); }
static void longer_account(const char *b) { (void)b; account_verdict("alice ", 6); }
static void nul_account(const char *b) { (void)b; account_verdict("alice\0x", 7); }
static void no_account(const char *b) { (void)b; account_verdict("", 0); }

static void long_account(const char *b)
{
    static char account[600];
    (void)b;
    memset(account, 'a', sizeof account);
    account_verdict(account, sizeof account);
}

static void field_too_many(const char *b) { (void)b; make_verdict(0); add8(0); put(out.length); finish(); }

static void field_too_few(const char *b)
{
    (void)b;
    make_verdict(0);
    put32(out.bytes + 4, (uint32_t)(out.length - 8 - 5));
    put(out.length - 5);
    finish();
}

static void wide_code(const char *b)
{
    (void)b;
    begin(0x13);
    add(fields[1].bytes, 32);
    add8(1);
    add(fields[5].bytes, fields[5].length);
    add("\0\0\0\0", 4);
    put(out.length);
    finish();
}

static void code(const char *b) { verdict((uint8_t)atoi(b + 5)); finish(); }
static void denied(const char *b) { ask(1, "PIN: "); verdict((uint8_t)atoi(b + 7)); finish(); }

static void huge_length(const char *b)
{
    (void)b;
    make_verdict(0);
    put32(out.bytes + 4, 0xffffffff);
    put(out.length);
    wait_for_end();
}

static void length_over_limit(const char *b)
{
    (void)b;
    begin(0x11);
    add8(1);
    static char text[8192 - 9 + 1];
    memset(text, 'x', sizeof text);
    add(text, sizeof text);
    put(out.length);
    grant("");
}

static void length_at_limit(const char *b)
{
    (void)b;
    begin(0x12);
    add8(6);
    static char text[8192 - 9];
    memset(text, 'x', sizeof text);
    add(text, sizeof text);
    put(out.length);
    grant("");
}

static void byte_by_byte(const char *b)
{
    (void)b;
    make_verdict(0);
    for (size_t i = 0; i < out.length; i++)
        must(send(FRAMES, out.bytes + i, 1, MSG_NOSIGNAL) == 1 && sched_yield() == 0);
    finish();
}

static void prompt_flood(const char *b) { (void)b; for (int i = 0; i < 100; i++) ask(1, "PIN: "); }
static void three_prompts(const char *b) { (void)b; for (int i = 0; i < 3; i++) ask(1, "PIN: "); grant(""); }
static void four_prompts(const char *b) { (void)b; for (int i = 0; i < 4; i++) ask(1, "PIN: "); grant(""); }
static void log_flood(const char *b) { (void)b; for (int i = 0; i < 1000; i++) say(0x12, 6, "x"); }
static void frames_63(const char *b) { (void)b; for (int i = 0; i < 63; i++) say(0x12, 6, "x"); grant(""); }
static void frames_64(const char *b) { (void)b; for (int i = 0; i < 64; i++) say(0x12, 6, "x"); grant(""); }
static void bad_style(const char *b) { (void)b; say(0x10, 4, "PIN: "); wait_for_end(); }
static void bad_kind(const char *b) { (void)b; say(0x11, 3, "x"); grant(""); }
static void bad_severity(const char *b) { (void)b; say(0x12, 0, "x"); grant(""); }

static void nul_text(const char *b)
{
    (void)b;
    begin(0x11);
    add8(1);
    add("a\0b", 3);
    put(out.length);
    grant("");
}

static void complain(const char *b)
{
    const uint8_t byte = (uint8_t)atoi(b + 9);
    must(send(LIFELINE, &byte, 1, MSG_NOSIGNAL) == 1);
    wait_for_end();
}

static void complain_and_end(const char *b)
{
    const uint8_t byte = (uint8_t)atoi(b + 17);
    must(send(LIFELINE, &byte, 1, MSG_NOSIGNAL) == 1);
}

static void complain_after_pin(const char *b)
{
    const uint8_t byte = (uint8_t)atoi(b + 19);
    ask(1, "PIN: ");
    must(send(LIFELINE, &byte, 1, MSG_NOSIGNAL) == 1);
    wait_for_end();
}

static void lifeline_closed(const char *b) { (void)b; close(LIFELINE); wait_for_ever(); }

static void card_process_gone(const char *b)
{
    (void)b;
    close(SECRETS);
    ask(1, "PIN: ");
    verdict(9);
    finish();
}

/* Stops the host, as its user may do, gives its verdict, and lets the host go on when its second is over. */
static void stops_host(const char *b)
{
    const struct timespec over = {.tv_sec = 1, .tv_nsec = 300000000};
    must(syscall(SYS_pidfd_send_signal, HOST, SIGSTOP, NULL, 0) == 0);
    verdict((uint8_t)atoi(b + strlen("stops-host-")));
    finish();
    nanosleep(&over, NULL);
    must(syscall(SYS_pidfd_send_signal, HOST, SIGCONT, NULL, 0) == 0);
}

/* Did not wait for the answer any longer, and says so. */
static void gave_up(const char *b)
{
    say(0x10, 1, "PIN: ");
    say(0x11, 2, "The time is over");
    verdict(strcmp(b, "gave-up-7") == 0 ? 7 : 9);
    finish();
}

/* Granted, but does not go away when the lifeline ends: the shim has to kill it. */
static void lingers(const char *b)
{
    grant(b);
    wait_for_ever();
}

/* Asks, grants, and when the lifeline has ended leaves a file beside the configuration; killed, it cannot. */
static void tells_end(const char *b)
{
    char path[5000], byte;
    ask(1, "PIN: ");
    grant(b);
    while (recv(LIFELINE, &byte, 1, 0) > 0)
        ;
    snprintf(path, sizeof path, "%.*s.ended", (int)fields[12].length, (const char *)fields[12].bytes);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* A text with %XX for a byte; returns its length. */
static size_t decode(const char *text, size_t length, uint8_t *to)
{
    size_t written = 0;
    for (const char *at = text; at < text + length; at++) {
        unsigned byte = (unsigned char)*at;
        if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1)
            at += 2;
        to[written++] = (uint8_t)byte;
    }
    return written;
}

/* One field of a frame of a script: "*N" is N times 'x', "[a,b" a list of items, each with its length before it ("[*N" has
 * N pairs), and else a text. */
static void add_field(const char *text)
{
    static uint8_t field[70000];
    size_t length = 0;
    if (text[0] == '*') {
        memset(field, 'x', length = (size_t)atoi(text + 1));
    } else if (strncmp(text, "[*", 2) == 0) {
        for (int i = 0; i < 2 * atoi(text + 2); i++, length += 5)
            memcpy(field + length, "\0\0\0\1k", 5);
    } else if (text[0] == '[') {
        for (const char *at = text + 1; *at;) {
            const size_t item = strcspn(at, ",");
            const size_t written = decode(at, item, field + length + 4);
            put32(field + length, (uint32_t)written);
            length += 4 + written;
            at += item + (at[item] == ',');
        }
    } else {
        length = decode(text, strlen(text), field);
    }
    add(field, length);
}

static void log_answer(void)
{
    static uint8_t payload[9000];
    struct field answer[64];
    unsigned count;
    must(read_frame(payload, answer, &count) == 0x02 && count == 2 && answer[0].length == 1);
    logf_("answer %d echoed '%.*s'", answer[0].bytes[0], (int)answer[1].length, (const char *)answer[1].bytes);
}

/* Have the host catch a signal, again and again until it has said something: it may not have waited yet. */
static void signal_until_answered(void)
{
    struct pollfd frames = {.fd = FRAMES, .events = POLLIN};
    while (poll(&frames, 1, 5) == 0)
        must(syscall(SYS_pidfd_send_signal, HOST, SIGUSR1, NULL, 0) == 0);
}

static void fact_after_verdict(const char *b)
{
    (void)b;
    verdict(0);
    begin(0x17);
    add8(1), add("PAM_SC_TOKEN", 12), add("x", 1);
    put(out.length);
    finish();
}

/* Words with '+' between them, one after the other; "fTT:FIELD:FIELD" sends a frame of that type (hexadecimal). */
static void script(const char *b)
{
    char words[5000], *rest = words;
    snprintf(words, sizeof words, "%s", b + strlen("script-"));
    for (char *word; (word = strsep(&rest, "+"));) {
        if (strcmp(word, "answer") == 0)
            log_answer();
        else if (strcmp(word, "signal") == 0)
            signal_until_answered();
        else if (strcmp(word, "kick") == 0) /* one signal, while the host waits for a frame */
            must(syscall(SYS_pidfd_send_signal, HOST, SIGUSR1, NULL, 0) == 0);
        else if (strncmp(word, "sig:", 4) == 0) /* that signal, once */
            must(syscall(SYS_pidfd_send_signal, HOST, atoi(word + 4), NULL, 0) == 0);
        else if (strcmp(word, "hang") == 0)
            wait_for_end();
        else if (strcmp(word, "grant") == 0)
            grant("");
        else if (strncmp(word, "code", 4) == 0)
            verdict((uint8_t)atoi(word + 4)), finish();
        else if (strncmp(word, "sleep", 5) == 0)
            usleep((useconds_t)atoi(word + 5) * 1000);
        else if (strcmp(word, "second") == 0) { /* what follows is for the second pass of chauthtok */
            if ((u32(fields[3].bytes) & 0x4000) != 0)
                grant(""), rest = NULL;
        } else {
            char *more = word;
            must(word[0] == 'f');
            begin((uint8_t)strtoul(strsep(&more, ":") + 1, NULL, 16));
            while (more)
                add_field(strsep(&more, ":"));
            put(out.length);
        }
    }
}

static const struct {
    const char *name; /* one that ends with '-' takes a number */
    void (*run)(const char *);
} BEHAVIOURS[] = {
    {"script-", script}, {"fact-after-verdict", fact_after_verdict}, {"grant", grant}, {"pin", pin}, {"stacked", stacked}, {"echoed", echoed}, {"hostile-texts", hostile_texts},
    {"report", report}, {"honour-prompt", honour}, {"honour-hang", honour}, {"exit-zero", exit_zero},
    {"killed", killed}, {"crashes", crashes}, {"stopped", stopped}, {"hangs", hangs},
    {"hangs-after-pin", hangs_after_pin}, {"half-header", half_header}, {"half-frame", half_frame},
    {"half-frame-hang", half_frame_hang}, {"unknown-frame", unknown_frame}, {"request-frame", request_frame},
    {"reserved-bytes", reserved_bytes}, {"two-verdicts", two_verdicts}, {"denied-then-granted", denied_then_granted},
    {"trailing-byte", trailing_byte}, {"no-end", no_end}, {"denied-no-end", denied_no_end},
    {"wrong-nonce", wrong_nonce}, {"wrong-nonce-denied", wrong_nonce_denied}, {"wrong-function", wrong_function},
    {"wrong-account", wrong_account}, {"asks-wrong-account", asks_wrong_account}, {"prefix-account", prefix_account}, {"longer-account", longer_account},
    {"nul-account", nul_account}, {"no-account", no_account}, {"long-account", long_account},
    {"field-too-many", field_too_many}, {"field-too-few", field_too_few}, {"wide-code", wide_code}, {"code-", code},
    {"denied-", denied}, {"huge-length", huge_length}, {"length-over-limit", length_over_limit},
    {"length-at-limit", length_at_limit}, {"byte-by-byte", byte_by_byte}, {"prompt-flood", prompt_flood},
    {"three-prompts", three_prompts}, {"four-prompts", four_prompts}, {"log-flood", log_flood},
    {"frames-63", frames_63}, {"frames-64", frames_64}, {"bad-style", bad_style}, {"bad-kind", bad_kind},
    {"bad-severity", bad_severity}, {"nul-text", nul_text}, {"complain-and-end-", complain_and_end},
    {"complain-after-pin-", complain_after_pin}, {"complain-", complain}, {"lifeline-closed", lifeline_closed},
    {"card-process-gone", card_process_gone}, {"gave-up", gave_up}, {"gave-up-7", gave_up}, {"stops-host-", stops_host}, {"lingers", lingers}, {"tells-end", tells_end}, {"exit-at-once", exit_at_once},
};

int main(int argc, char **argv)
{
    (void)argc;
    arguments = argv;
    order_length = recv(LIFELINE, order, sizeof order, 0);
    must(order_length == 36);
    must(read_frame(request, fields, &field_count) == 0x01 && field_count == 18);
    char path[5000];
    snprintf(path, sizeof path, "%.*s", (int)fields[12].length, (const char *)fields[12].bytes);
    const char *const slash = strrchr(path, '/');
    const char *const behaviour = slash ? slash + 1 : "grant";
    for (size_t i = 0; i < sizeof BEHAVIOURS / sizeof BEHAVIOURS[0]; i++) {
        const char *const name = BEHAVIOURS[i].name;
        const size_t length = strlen(name);
        if (strcmp(behaviour, name) == 0 || (name[length - 1] == '-' && strncmp(behaviour, name, length) == 0)) {
            BEHAVIOURS[i].run(behaviour);
            return 0;
        }
    }
    return 8;
}
