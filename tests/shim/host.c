/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A PAM application whose person, signals, threads and identity are arguments. It prints what happens, a line each, and
 * whether the module left it as it was. Log lines are seen because the program exports a pam_syslog of its own.
 *
 *     confdir= service= user= rhost= ruser= tty=   pam_start_confdir and items    flags=N   calls=authenticate,setcred,...
 *     step=KIND[:VALUE]   one for each prompt, the last for all that follow; see converse
 *     usr1=1 (SIGUSR1 is caught)   catch=N block=N ignore=N (that signal)   locale=NAME   putenv=NAME=VALUE, for the handle
 *     sigchld=ignore|handler   reaper=1   subreaper=1   threads=N   repeat=N   uids=R:E:S   closed=1   scan=1   conv=none
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    const char *confdir, *service, *user, *rhost, *ruser, *tty, *calls, *sigchld, *uids, *locale, *putenv;
    const char *steps[16];
    int step_count, flags, threads, repeat, caught, blocked, ignored;
    bool reaper, subreaper, closed, scan, no_conversation, quiet, usr1;
} script = {.service = "test", .calls = "authenticate", .threads = 1, .repeat = 1};

static FILE *out;
static volatile sig_atomic_t sigchld_seen, caught;
static volatile unsigned char key = 0x55;
/* "Zq71#x" and a long tail, each byte xor 0x55, so that the process never holds it but in an answer. */
static const unsigned char SECRET[] = {0x0f, 0x24, 0x62, 0x64, 0x76, 0x2d};

struct person {
    pam_handle_t *pamh;
    int prompts;
    pid_t forked; /* a child that holds a copy of every descriptor of that moment */
};

void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...)
{
    char line[2048];
    va_list args;
    (void)pamh;
    const int error = errno;
    va_start(args, format);
    errno = error;
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!script.quiet)
        fprintf(out, "log %d %s\n", priority, line);
}

static const char *value_of(const char *step, const char *kind)
{
    const size_t length = strlen(kind);
    return strncmp(step, kind, length) == 0 && step[length] == ':' ? step + length + 1 : NULL;
}

static char *secret(size_t length)
{
    char *text = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)(SECRET[i % sizeof SECRET] ^ key);
    text[length] = '\0';
    return text;
}

static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* GDM's choice list, as gdm-session-worker would be shown it. */
struct header {
    uint32_t length;
    uint8_t type;
};
struct list {
    struct header header;
    const char *prompt;
    size_t count;
    struct {
        const char *key, *text;
    } items[];
};
struct chosen {
    struct header header;
    const char *key;
};

/* Print the list; the step says what is answered: the header's length and type (-1: as is right), and the key. */
static int show_list(const char *step, const struct list *list, struct pam_response **responses)
{
    int length = -1, type = -1;
    fprintf(out, "lists %u %u %s", be32toh(list->header.length), list->header.type, list->prompt);
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "|%s=%s", list->items[i].key, list->items[i].text);
    fprintf(out, "\n");
    if (strcmp(step, "choose-late") == 0) {
        sleep_ms(1300);
        step = "choose:-1:-1:0";
    }
    const char *const value = value_of(step, "choose");
    if (value == NULL)
        return PAM_CONV_ERR;
    const char *const key = strrchr(value, ':') + 1;
    sscanf(value, "%d:%d:", &length, &type);
    struct chosen *const chosen = calloc(1, sizeof *chosen);
    chosen->header.length = htobe32(length < 0 ? sizeof *chosen : (uint32_t)length);
    chosen->header.type = type < 0 ? list->header.type : (uint8_t)type;
    chosen->key = strcmp(key, "NULL") == 0 ? NULL : key;
    *responses = calloc(1, sizeof **responses);
    (*responses)->resp = (char *)chosen;
    return PAM_SUCCESS;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
    struct person *const person = data;
    const char *value;
    if (!script.quiet && messages[0]->msg_style != PAM_BINARY_PROMPT)
        fprintf(out, "says %d %d %s\n", count, messages[0]->msg_style, messages[0]->msg);
    /* A host without standard descriptors prints all the same; nothing of the module's may be there to take it. */
    for (int fd = 0; script.closed && fd < 3; fd++)
        if (write(fd, "noise", 5) >= 0)
            fprintf(out, "log 0 descriptor %d took what the host printed\n", fd);
    if (messages[0]->msg_style == PAM_TEXT_INFO || messages[0]->msg_style == PAM_ERROR_MSG) {
        *responses = calloc(1, sizeof **responses);
        return PAM_SUCCESS;
    }
    const int last = script.step_count - 1;
    const char *const step = last < 0 ? "secret" : script.steps[person->prompts < last ? person->prompts : last];
    person->prompts++;
    if (strcmp(step, "error") == 0)
        return PAM_CONV_ERR;
    if (strcmp(step, "again") == 0)
        return PAM_CONV_AGAIN;
    if (strcmp(step, "garbage") == 0)
        return 77;
    if (strcmp(step, "no-response") == 0)
        return PAM_SUCCESS;
    if (strcmp(step, "hang") == 0)
        for (;;)
            pause();
    if (messages[0]->msg_style == PAM_BINARY_PROMPT)
        return show_list(step, (const struct list *)(const void *)messages[0]->msg, responses);
    *responses = calloc(1, sizeof **responses);
    if (strcmp(step, "null") == 0)
        return PAM_SUCCESS;
    if (strcmp(step, "secret") == 0)
        (*responses)->resp = secret(sizeof SECRET);
    if (strcmp(step, "error-with-response") == 0) {
        (*responses)->resp = secret(sizeof SECRET);
        return PAM_CONV_ERR;
    }
    if ((value = value_of(step, "text")))
        (*responses)->resp = strdup(value);
    if ((value = value_of(step, "length")))
        (*responses)->resp = secret((size_t)atol(value));
    if ((value = value_of(step, "slow"))) {
        sleep_ms(atol(value));
        (*responses)->resp = secret(sizeof SECRET);
    }
    if (strcmp(step, "fork") == 0) {
        (*responses)->resp = secret(sizeof SECRET);
        if ((person->forked = fork()) == 0)
            for (;;)
                pause();
    }
    if ((value = value_of(step, "become"))) {
        pam_set_item(person->pamh, PAM_USER, value[0] ? value : NULL);
        (*responses)->resp = secret(sizeof SECRET);
    }
    return PAM_SUCCESS;
}

static void delay(int status, unsigned microseconds, void *data)
{
    (void)status, (void)data;
    if (!script.quiet)
        fprintf(out, "delay %u\n", microseconds);
}

static int call(pam_handle_t *pamh, const char *name)
{
    if (strcmp(name, "authenticate") == 0)
        return pam_authenticate(pamh, script.flags);
    if (strcmp(name, "setcred") == 0)
        return pam_setcred(pamh, PAM_ESTABLISH_CRED);
    if (strcmp(name, "acct_mgmt") == 0)
        return pam_acct_mgmt(pamh, 0);
    if (strcmp(name, "open_session") == 0)
        return pam_open_session(pamh, 0);
    if (strcmp(name, "close_session") == 0)
        return pam_close_session(pamh, 0);
    if (strcmp(name, "chauthtok") == 0)
        return pam_chauthtok(pamh, script.flags);
    if (strcmp(name, "chauthtok_expired") == 0)
        return pam_chauthtok(pamh, PAM_CHANGE_EXPIRED_AUTHTOK);
    if (strcmp(name, "usurp") == 0) {
        unlink("/run/pam_sc/sessions/7.json");
        return close(open("/run/pam_sc/sessions/7.json", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
    if (strcmp(name, "rename") == 0)
        return pam_set_item(pamh, PAM_USER, "mallory");
    abort();
}

static int one_login(void)
{
    struct person person = {0};
    struct pam_conv conversation = {script.no_conversation ? NULL : converse, &person};
    union {
        void (*function)(int, unsigned, void *);
        const void *item;
    } fail_delay = {.function = delay};
    const void *user = NULL;
    char calls[200], *rest = calls;
    int result = -1;
    if (pam_start_confdir(script.service, script.user, &conversation, script.confdir, &person.pamh) != PAM_SUCCESS)
        abort();
    pam_set_item(person.pamh, PAM_FAIL_DELAY, fail_delay.item);
    if (script.rhost)
        pam_set_item(person.pamh, PAM_RHOST, script.rhost);
    if (script.ruser)
        pam_set_item(person.pamh, PAM_RUSER, script.ruser);
    if (script.tty)
        pam_set_item(person.pamh, PAM_TTY, script.tty);
    if (script.putenv)
        pam_putenv(person.pamh, script.putenv);
    snprintf(calls, sizeof calls, "%s", script.calls);
    for (char *name; (name = strsep(&rest, ","));) {
        result = call(person.pamh, name);
        if (!script.quiet)
            fprintf(out, "%s %d\n", name, result);
    }
    char **const variables = pam_getenvlist(person.pamh);
    for (char **each = variables; !script.quiet && *each; each++)
        fprintf(out, "variable %s\n", *each);
    for (char **each = variables; *each; each++)
        free(*each);
    free(variables);
    pam_get_item(person.pamh, PAM_USER, &user);
    if (!script.quiet)
        fprintf(out, "user %s\n", user ? (const char *)user : "(none)");
    pam_end(person.pamh, result);
    if (person.forked > 0) {
        kill(person.forked, SIGKILL);
        waitpid(person.forked, NULL, 0);
    }
    return result;
}

static int count_fds(FILE *list)
{
    char path[300], target[300];
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        const ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (list)
            fprintf(list, "fd %s %s flags %d\n", e->d_name, target, fcntl(atoi(e->d_name), F_GETFD));
        count++;
    }
    closedir(dir);
    return count;
}

static void copy_file(const char *path, FILE *to)
{
    char line[300];
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof line, from))
        fputs(line, to);
    if (from)
        fclose(from);
}

/* Everything of the host that a module could disturb, as text. */
static char *state(void)
{
    char *text, cwd[4096];
    size_t length;
    unsigned long words[8];
    uid_t r, e, s;
    FILE *const list = open_memstream(&text, &length);
    count_fds(list);
    memset(words, 0, sizeof words);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, words, 8);
    fprintf(list, "mask %lx\n", words[0]);
    for (int signal = 1; signal <= 64; signal++) {
        memset(words, 0, sizeof words);
        syscall(SYS_rt_sigaction, signal, NULL, words, 8);
        fprintf(list, "action %d %lx %lx %lx %lx\n", signal, words[0], words[1], words[2], words[3]);
    }
    const mode_t mask = umask(0);
    umask(mask);
    getresuid(&r, &e, &s);
    fprintf(list, "umask %o cwd %s locale %s uids %u %u %u dumpable %d session %d\n", mask, getcwd(cwd, sizeof cwd),
            setlocale(LC_ALL, NULL), r, e, s, prctl(PR_GET_DUMPABLE), getsid(0));
    for (char **v = environ; *v; v++)
        fprintf(list, "env %s\n", *v);
    copy_file("/proc/self/limits", list);
    snprintf(cwd, sizeof cwd, "/proc/self/task/%d/children", getpid());
    fprintf(list, "children ");
    copy_file(cwd, list);
    fprintf(list, "\n");
    DIR *const tasks = opendir("/proc/self/task");
    for (struct dirent *t; (t = readdir(tasks));)
        fprintf(list, "task %s\n", t->d_name);
    closedir(tasks);
    fclose(list);
    return text;
}

static long resident_kib(void)
{
    long pages = 0, ignored;
    FILE *const statm = fopen("/proc/self/statm", "re");
    if (fscanf(statm, "%ld %ld", &ignored, &pages) != 2)
        abort();
    fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Count the secret in all writable memory, without ever holding it. */
static int copies_of_secret(void)
{
    char line[300];
    int copies = 0;
    FILE *const maps = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[0] != 'r' || mode[1] != 'w')
            continue;
        for (const volatile unsigned char *at = (unsigned char *)from; at + sizeof SECRET <= (unsigned char *)to; at++) {
            size_t same = 0;
            while (same < sizeof SECRET && (at[same] ^ key) == SECRET[same])
                same++;
            copies += same == sizeof SECRET;
        }
    }
    fclose(maps);
    return copies;
}

static void on_sigchld(int signal)
{
    (void)signal;
    const int error = errno;
    sigchld_seen++;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = error;
}

static void on_usr1(int signal)
{
    (void)signal;
    caught++;
}

static void *reap_any_child(void *unused)
{
    (void)unused;
    for (;;)
        if (waitpid(-1, NULL, __WALL) < 0)
            sched_yield();
    return NULL;
}

static void *log_in_repeatedly(void *results)
{
    for (int i = 0; i < script.repeat; i++)
        __atomic_add_fetch(&((int *)results)[one_login() & 63], 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void many_logins(void)
{
    int results[64] = {0};
    pthread_t *const threads = calloc((size_t)script.threads, sizeof *threads);
    script.quiet = true;
    one_login();
    const int fds = count_fds(NULL);
    for (int i = 0; script.threads == 1 && i < 100; i++)
        one_login();
    const long before = resident_kib();
    for (int i = 0; i < script.threads; i++)
        pthread_create(&threads[i], NULL, log_in_repeatedly, results);
    for (int i = 0; i < script.threads; i++)
        pthread_join(threads[i], NULL);
    fprintf(out, "fds %d\ngrown %ld\n", count_fds(NULL) - fds, resident_kib() - before);
    for (int i = 0; i < 64; i++)
        if (results[i])
            fprintf(out, "result %d times %d\n", i, results[i]);
    free(threads);
}

static void read_script(int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        int *number;
        bool *flag;
    } keys[] = {
        {"confdir", &script.confdir, 0, 0}, {"service", &script.service, 0, 0}, {"user", &script.user, 0, 0},
        {"rhost", &script.rhost, 0, 0}, {"ruser", &script.ruser, 0, 0}, {"tty", &script.tty, 0, 0},
        {"calls", &script.calls, 0, 0}, {"sigchld", &script.sigchld, 0, 0}, {"uids", &script.uids, 0, 0},
        {"locale", &script.locale, 0, 0}, {"putenv", &script.putenv, 0, 0}, {"usr1", 0, 0, &script.usr1},
        {"catch", 0, &script.caught, 0},
        {"block", 0, &script.blocked, 0}, {"ignore", 0, &script.ignored, 0}, {"flags", 0, &script.flags, 0}, {"threads", 0, &script.threads, 0}, {"repeat", 0, &script.repeat, 0},
        {"reaper", 0, 0, &script.reaper}, {"subreaper", 0, 0, &script.subreaper}, {"closed", 0, 0, &script.closed},
        {"scan", 0, 0, &script.scan}, {"no_conversation", 0, 0, &script.no_conversation},
    };
    for (int i = 1; i < argc; i++) {
        char *const value = strchr(argv[i], '=') + 1;
        bool known = strncmp(argv[i], "step=", 5) == 0;
        if (known)
            script.steps[script.step_count++] = value;
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (strncmp(argv[i], keys[k].name, strlen(keys[k].name)) != 0 || argv[i][strlen(keys[k].name)] != '=')
                continue;
            known = true;
            if (keys[k].text)
                *keys[k].text = value;
            else if (keys[k].number)
                *keys[k].number = (int)strtol(value, NULL, 0);
            else
                *keys[k].flag = true;
        }
        if (!known)
            abort();
    }
}

static void set_the_scene(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    unsigned r, e, s;
    pthread_t thread;
    if (script.sigchld) {
        if (strcmp(script.sigchld, "handler") == 0)
            action.sa_handler = on_sigchld;
        sigaction(SIGCHLD, &action, NULL);
    }
    action.sa_handler = on_usr1;
    action.sa_flags = SA_RESTART; /* which changes nothing for poll */
    if (script.usr1)
        sigaction(SIGUSR1, &action, NULL);
    if (script.caught)
        sigaction(script.caught, &action, NULL);
    if (script.ignored)
        signal(script.ignored, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    if (script.blocked)
        sigaddset(&blocked, script.blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    if (script.locale && setlocale(LC_MESSAGES, script.locale) == NULL)
        abort();
    if (script.subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (script.reaper)
        pthread_create(&thread, NULL, reap_any_child, NULL);
    if (script.uids && (sscanf(script.uids, "%u:%u:%u", &r, &e, &s) != 3 || setresuid(r, e, s) != 0))
        abort();
    prctl(PR_SET_DUMPABLE, 1); /* as a host does that wants core files after it has given up a uid */
    if (script.closed)
        for (int fd = 0; fd < 3; fd++)
            close(fd);
}

int main(int argc, char **argv)
{
    read_script(argc, argv);
    out = fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 40), "w");
    setvbuf(out, NULL, _IOLBF, 0);
    set_the_scene();
    char *const before = state();
    if (script.repeat > 1 || script.threads > 1)
        many_logins();
    else
        one_login();
    char *const after = state();
    if (script.scan)
        fprintf(out, "copies %d\n", copies_of_secret());
    if (strcmp(before, after) == 0)
        fprintf(out, "state same\n");
    else
        fprintf(out, "state differs\n%s----\n%s", before, after);
    fprintf(out, "sigchld %d\n", (int)sigchld_seen);
    fprintf(out, "caught %d\n", (int)caught);
    fclose(out);
    free(before);
    free(after);
    return 0;
}
