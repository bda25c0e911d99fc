/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A PKCS#11 module that wraps SoftHSM and misbehaves as the variable HOSTILE says, so that every step of a login can be
 * reached before something goes wrong. For tests only. HOSTILE is a list of faults, separated by commas:
 *
 *   crash:F hang:F spin:F exit:F abort:F         at the begin of the function F (C_Login, C_Sign, ...)
 *   print:F write-all-fds:F steal-fds:F          talk on stdout and stderr, on every descriptor, read all of them empty
 *   close-fds:F fork:F exec:F ptrace:F kill-parent:F
 *   rv:F:0xN                                     F returns N and does nothing
 *   after:F:0xN                                  F does its work and returns N all the same
 *   slots:N slots:grow slots:broken              N slot ids; one more at the second call; a broken slot before the good one
 *   objects:endless objects:overflow             searches that never end; more handles than were asked for
 *   attr:huge attr:minus attr:grow attr:small    lengths of CKA_VALUE: 2^62, -1, over the buffer, always too small
 *   cert:garbage cert:empty                      contents of CKA_VALUE
 *   label:escape                                 control characters in texts
 *   flags:0xN flags-after:0xN flags-clear:0xN    set flags of CK_TOKEN_INFO; from the first C_Login on; clear flags
 *                                                (0x4 LOGIN_REQUIRED, 0x10000 COUNT_LOW, 0x20000 FINAL_TRY, 0x40000
 *                                                LOCKED, 0x80000 TO_BE_CHANGED; flags-clear:0x70000 is "no counter")
 *   to-be-changed                                TO_BE_CHANGED until C_SetPIN has worked
 *   pinpad:PIN pinpad-new:PIN                    PROTECTED_AUTHENTICATION_PATH; what somebody types for NULL: in C_Login
 *                                                and as the old PIN, and as the new PIN
 *   pinpad-ms:N                                  how long they type (500)
 *   verified                                     somebody has verified the card already: C_Login with NULL works at once
 *   auto-login:PIN                               each session is logged in when it is opened (with flags-clear:0x4 this is
 *                                                a token that needs no login)
 *   always-authenticate                          every key says CKA_ALWAYS_AUTHENTICATE
 *   slots:hardware                               slots have HW_SLOT and REMOVABLE_DEVICE
 *   events                                       C_WaitForSlotEvent can block, with HOSTILE_TOKEN; and slots are removable
 *   pin-length:MIN:MAX                           as CK_TOKEN_INFO has it
 *   already-logged-in                            the first C_Login finds somebody logged in
 *   swap:serial swap:certificate swap:gone swap:event     the token after it was read once
 *   swap:final-try swap:locked                   its PIN state after it was read once
 *   opensc                                       the module says that it is OpenSC
 *   environment                                  the names of all variables go to the log
 *   sig:zero sig-len:N                           a signature of zeros; N as its length
 *
 * Each call that matters is a line in the file of the variable HOSTILE_LOG: name and, for C_Login, kind of user and
 * length of the PIN. HOSTILE_REAL is the module to wrap; the default is SoftHSM. HOSTILE_TOKEN names a file: the tokens are
 * in their slots only while it exists. HOSTILE_TRIES names a file with the number of PIN tries that are left: a wrong PIN
 * takes one (of three), the right one gives them back, and the flags tell; without it SoftHSM's own flags stand.
 * HOSTILE_CHANGED names a file that C_SetPIN makes, for to-be-changed in the next process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef unsigned long ck_ulong;
typedef unsigned char ck_byte;

enum { CKR_OK = 0, CKR_GENERAL_ERROR = 5, CKR_NO_EVENT = 8, CKR_BUFFER_TOO_SMALL = 0x150 };
enum { CKR_TOKEN_NOT_PRESENT = 0xe0, CKR_USER_ALREADY_LOGGED_IN = 0x100, CKR_DEVICE_ERROR = 0x30 };
enum { CKR_DEVICE_REMOVED = 0x32, CKR_FUNCTION_NOT_SUPPORTED = 0x54, CKR_PIN_INCORRECT = 0xa0, CKR_PIN_LOCKED = 0xa4 };
enum { CKA_VALUE = 0x11, CKA_ALWAYS_AUTHENTICATE = 0x202, CKF_TOKEN_PRESENT = 1, CKF_DONT_BLOCK = 1, BROKEN_SLOT = 7777 };
enum { CKF_REMOVABLE_DEVICE = 2, CKF_HW_SLOT = 4, CKF_PROTECTED_AUTHENTICATION_PATH = 0x100, CKF_COUNT_LOW = 0x10000 };
enum { CKF_FINAL_TRY = 0x20000, CKF_LOCKED = 0x40000, CKF_TO_BE_CHANGED = 0x80000 };
enum { CKU_USER = 1, CKU_CONTEXT_SPECIFIC = 2, TRIES = 3, PIN_MAX = 64 };

struct ck_info { ck_byte version[2]; ck_byte manufacturer[32]; ck_ulong flags; ck_byte description[32]; ck_byte library[2]; };
struct ck_slot_info { ck_byte description[64]; ck_byte manufacturer[32]; ck_ulong flags; ck_byte versions[4]; };
struct ck_token_info {
	ck_byte label[32], manufacturer[32], model[16], serial[16];
	ck_ulong flags, sessions[4], pin_max, pin_min, memory[4];
	ck_byte versions[4], time[16];
};
struct ck_attribute { ck_ulong type; void *value; ck_ulong length; };

/* The places of the functions in CK_FUNCTION_LIST of v2.40. */
enum place {
	INITIALIZE = 0, FINALIZE = 1, GET_INFO = 2, GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_SLOT_INFO = 5,
	GET_TOKEN_INFO = 6, GET_MECHANISM_INFO = 8, INIT_PIN = 10, SET_PIN = 11, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, LOGOUT = 19,
	GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, FIND_OBJECTS_FINAL = 28, SIGN_INIT = 42,
	SIGN = 43, WAIT_FOR_SLOT_EVENT = 67, FUNCTIONS = 68
};
struct function_list { ck_byte version[2]; void *function[FUNCTIONS]; };

static struct {
	struct function_list *real;
	struct function_list ours;
	ck_ulong logins, event_calls;
	bool read_once, present, changed;
	ck_byte pin[PIN_MAX];
	ck_ulong pin_length;
} state;

/* The wrapped function at this place, which has the type of our own function `ours`. */
#define REAL(place, ours, ...) ((__typeof__(&(ours)))state.real->function[place])(__VA_ARGS__)

/* What follows `name:` in HOSTILE, or "" for a fault without a value, or NULL if the fault is not wanted. */
static const char *fault(const char *name)
{
	const char *at = getenv("HOSTILE");
	size_t length = strlen(name);

	for (; at && *at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
		if (strncmp(at, name, length))
			continue;
		if (at[length] == ':')
			return at + length + 1;
		if (!at[length] || at[length] == ',')
			return "";
	}
	return NULL;
}

static bool is(const char *value, const char *wanted)
{
	size_t length = strlen(wanted);

	return value && !strncmp(value, wanted, length) && (!value[length] || value[length] == ',' || value[length] == ':');
}

/* Whether the fault `name` is wanted with the value `wanted`; a fault may stand several times. */
static const char *fault_of(const char *name, const char *wanted)
{
	char both[96];

	snprintf(both, sizeof both, "%s:%s", name, wanted);
	return fault(both);
}

static void note(const char *what, ck_ulong user, ck_ulong length)
{
	const char *path = getenv("HOSTILE_LOG");
	char line[96];
	int fd, size;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	size = snprintf(line, sizeof line, "%s %lu %lu\n", what, user, length);
	if (write(fd, line, (size_t)size) != size)
		abort();
	close(fd);
}

static void note_variable(const char *variable)
{
	char name[64];

	snprintf(name, sizeof name, "variable=%.*s", (int)strcspn(variable, "="), variable);
	note(name, 0, 0);
}

static void write_everywhere(void)
{
	/* a SIGNED of the card channel, a VERDICT of the frames channel, and noise */
	static const unsigned char forged[] = "\x89\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\x13\0\0\0\0\0\0\0garbage";

	for (int fd = 0; fd < 64; fd++)
		if (write(fd, forged, sizeof forged) < 0)
			continue;
}

static void read_everywhere(void)
{
	char buffer[512];

	for (int fd = 3; fd < 64; fd++) {
		if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			continue;
		while (read(fd, buffer, sizeof buffer) > 0)
			continue;
	}
}

static void misbehave(const char *function)
{
	if (fault_of("crash", function))
		*(volatile int *)8 = 1;
	if (fault_of("hang", function))
		for (;;)
			pause();
	for (volatile unsigned turns = 0; fault_of("spin", function);)
		turns++;
	if (fault_of("exit", function))
		exit(0);
	if (fault_of("abort", function))
		abort();
	if (fault_of("print", function))
		dprintf(1, "granted\n"), dprintf(2, "granted\n");
	if (fault_of("write-all-fds", function))
		write_everywhere();
	if (fault_of("steal-fds", function))
		read_everywhere();
	if (fault_of("close-fds", function))
		close_range(3, ~0U, 0);
}

static void attack(const char *function)
{
	if (fault_of("kill-parent", function))
		kill(getppid(), SIGKILL);
	if (fault_of("ptrace", function) && !ptrace(PTRACE_ATTACH, getppid(), NULL, NULL))
		note("ptrace-worked", 0, 0);
	if (fault_of("fork", function)) {
		pid_t child = fork();
		if (child >= 0)
			note("fork-worked", 0, 0);
		if (!child)
			_exit(0);
	}
	if (fault_of("exec", function))
		execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
}

/* The begin of every function: its faults; true and `*rv` if it is to return without doing anything. */
static bool refuses(const char *function, ck_ulong *rv)
{
	const char *value = fault_of("rv", function);

	misbehave(function);
	attack(function);
	if (!value)
		return false;
	*rv = strtoul(value, NULL, 16);
	return true;
}

static ck_ulong done(const char *function, ck_ulong rv)
{
	const char *value = fault_of("after", function);

	return value ? strtoul(value, NULL, 16) : rv;
}

static bool swapped(const char *how)
{
	return state.read_once && is(fault("swap"), how);
}

static bool is_present(void)
{
	const char *path = getenv("HOSTILE_TOKEN");

	return !path || !access(path, F_OK);
}

/* The PIN tries that are left, or -1 where nobody counts. */
static int tries_left(void)
{
	const char *path = getenv("HOSTILE_TRIES");
	char digit = '3';
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (!path)
		return -1;
	if (fd >= 0 && read(fd, &digit, 1) != 1)
		digit = '3';
	if (fd >= 0)
		close(fd);
	return digit - '0';
}

static void set_tries(int left)
{
	const char *path = getenv("HOSTILE_TRIES");
	char digit = (char)('0' + left);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;

	if (fd < 0)
		return;
	if (write(fd, &digit, 1) != 1)
		abort();
	close(fd);
}

static ck_ulong counted_flags(ck_ulong flags)
{
	int left = tries_left();

	if (left < 0)
		return flags;
	flags &= ~(ck_ulong)(CKF_COUNT_LOW | CKF_FINAL_TRY | CKF_LOCKED);
	if (!left)
		return flags | CKF_LOCKED;
	return flags | (left < TRIES ? CKF_COUNT_LOW : 0) | (left == 1 ? CKF_FINAL_TRY : 0);
}

static bool wants_change(void)
{
	const char *path = getenv("HOSTILE_CHANGED");

	return fault("to-be-changed") && !state.changed && (!path || access(path, F_OK));
}

static void note_change(void)
{
	const char *path = getenv("HOSTILE_CHANGED");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
	state.changed = true;
}

/* What somebody types on the reader's keypad; false if there is none. */
static bool typed(const char *which, ck_byte **pin, ck_ulong *length)
{
	const char *value = fault(which), *ms = fault("pinpad-ms");

	if (!value || *pin)
		return false;
	*pin = (ck_byte *)value;
	*length = strcspn(value, ",");
	if (!fault("verified"))
		usleep(1000 * (ms ? (useconds_t)strtoul(ms, NULL, 10) : 500));
	return true;
}

static ck_ulong get_info(struct ck_info *info)
{
	ck_ulong rv;

	if (refuses("C_GetInfo", &rv))
		return rv;
	rv = REAL(GET_INFO, get_info, info);
	if (fault("opensc"))
		memcpy(info->description, "OpenSC smartcard framework      ", 32);
	return done("C_GetInfo", rv);
}

static ck_ulong initialize(void *arguments)
{
	ck_ulong rv;

	note("C_Initialize", 0, 0);
	for (char **variable = environ; fault("environment") && *variable; variable++)
		note_variable(*variable);
	state.present = is_present();
	if (refuses("C_Initialize", &rv))
		return rv;
	return done("C_Initialize", REAL(INITIALIZE, initialize, arguments));
}

static ck_ulong finalize(void *reserved)
{
	ck_ulong rv;

	note("C_Finalize", 0, 0);
	if (refuses("C_Finalize", &rv))
		return rv;
	return done("C_Finalize", REAL(FINALIZE, finalize, reserved));
}

static ck_ulong invented_slots(ck_ulong wanted, ck_ulong *slots, ck_ulong *count)
{
	if (slots)
		for (ck_ulong at = 0; at < wanted; at++)
			slots[at] = 100000 + at;
	*count = wanted;
	return CKR_OK;
}

static ck_ulong get_slot_list(ck_byte present, ck_ulong *slots, ck_ulong *count)
{
	const char *how = fault("slots");
	ck_ulong rv, room = *count;

	if (refuses("C_GetSlotList", &rv))
		return rv;
	if (how && *how >= '0' && *how <= '9')
		return invented_slots(strtoul(how, NULL, 0), slots, count);
	if (is(how, "grow") && slots)
		return invented_slots(4096, slots, count);
	if (!is(how, "broken"))
		return done("C_GetSlotList", REAL(GET_SLOT_LIST, get_slot_list, present, slots, count));
	if (slots)
		room--, *slots++ = BROKEN_SLOT;
	rv = REAL(GET_SLOT_LIST, get_slot_list, present, slots, slots ? &room : count);
	*count = slots ? room + 1 : *count + 1;
	return rv;
}

static ck_ulong get_slot_info(ck_ulong slot, struct ck_slot_info *info)
{
	ck_ulong rv;

	if (refuses("C_GetSlotInfo", &rv))
		return rv;
	if (slot == BROKEN_SLOT)
		return CKR_DEVICE_ERROR;
	rv = REAL(GET_SLOT_INFO, get_slot_info, slot, info);
	if (swapped("gone") || !is_present())
		info->flags &= ~(ck_ulong)CKF_TOKEN_PRESENT;
	if (is(fault("slots"), "hardware"))
		info->flags |= CKF_HW_SLOT | CKF_REMOVABLE_DEVICE;
	if (fault("events"))
		info->flags |= CKF_REMOVABLE_DEVICE;
	return done("C_GetSlotInfo", rv);
}

static ck_ulong changed_flags(ck_ulong real)
{
	const char *flags = fault("flags"), *later = fault("flags-after"), *clear = fault("flags-clear");

	real = counted_flags(real);
	if (flags)
		real |= strtoul(flags, NULL, 16);
	if (later && state.logins)
		real |= strtoul(later, NULL, 16);
	if (fault("pinpad"))
		real |= CKF_PROTECTED_AUTHENTICATION_PATH;
	if (wants_change())
		real |= CKF_TO_BE_CHANGED;
	return clear ? real & ~strtoul(clear, NULL, 16) : real;
}

static ck_ulong get_token_info(ck_ulong slot, struct ck_token_info *info)
{
	const char *lengths = fault("pin-length");
	ck_ulong rv;

	if (refuses("C_GetTokenInfo", &rv))
		return rv;
	if (swapped("gone") || !is_present())
		return CKR_TOKEN_NOT_PRESENT;
	rv = REAL(GET_TOKEN_INFO, get_token_info, slot, info);
	info->flags = changed_flags(info->flags);
	if (lengths)
		info->pin_min = strtoul(lengths, (char **)&lengths, 10), info->pin_max = strtoul(lengths + 1, NULL, 10);
	if (is(fault("label"), "escape"))
		memcpy(info->label, "a\0\033[2J\r\n\xe2\x80\xae\xff%n", 15);
	if (swapped("serial"))
		info->serial[0] ^= 1;
	if (swapped("final-try"))
		info->flags |= 0x20000;
	if (swapped("locked"))
		info->flags |= 0x40000;
	return done("C_GetTokenInfo", rv);
}

static ck_ulong get_mechanism_info(ck_ulong slot, ck_ulong mechanism, void *info)
{
	ck_ulong rv;

	if (refuses("C_GetMechanismInfo", &rv))
		return rv;
	return done("C_GetMechanismInfo", REAL(GET_MECHANISM_INFO, get_mechanism_info, slot, mechanism, info));
}

static ck_ulong log_in(ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong length);

static ck_ulong open_session(ck_ulong slot, ck_ulong flags, void *application, void *notify, ck_ulong *session)
{
	const char *pin = fault("auto-login");
	ck_ulong rv;

	note("C_OpenSession", 0, 0);
	if (refuses("C_OpenSession", &rv))
		return rv;
	if (!is_present())
		return CKR_TOKEN_NOT_PRESENT;
	rv = REAL(OPEN_SESSION, open_session, slot, flags, application, notify, session);
	if (pin && rv == CKR_OK)
		REAL(LOGIN, log_in, *session, CKU_USER, (ck_byte *)pin, strcspn(pin, ","));
	return done("C_OpenSession", rv);
}

static ck_ulong close_session(ck_ulong session)
{
	ck_ulong rv;

	note("C_CloseSession", 0, 0);
	state.read_once = true;
	if (refuses("C_CloseSession", &rv))
		return rv;
	return done("C_CloseSession", REAL(CLOSE_SESSION, close_session, session));
}

/* A login for one key, where it is this module and not SoftHSM that wants one. */
static ck_ulong log_in_for_key(const ck_byte *pin, ck_ulong length)
{
	bool same = pin && length == state.pin_length && !memcmp(pin, state.pin, length);

	return same ? CKR_OK : CKR_PIN_INCORRECT;
}

static ck_ulong log_in_counted(ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong length)
{
	int left = user == CKU_USER ? tries_left() : -1;
	ck_ulong rv;

	if (!left)
		return CKR_PIN_LOCKED;
	rv = REAL(LOGIN, log_in, session, user, pin, length);
	if (left > 0 && (rv == CKR_OK || rv == CKR_PIN_INCORRECT))
		set_tries(rv == CKR_OK ? TRIES : left - 1);
	if (rv == CKR_OK && user == CKU_USER && length <= sizeof state.pin) {
		memcpy(state.pin, pin, length);
		state.pin_length = length;
	}
	return rv;
}

static ck_ulong log_in(ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong length)
{
	ck_ulong rv;

	note("C_Login", user, length);
	if (refuses("C_Login", &rv))
		return state.logins++, rv;
	if (fault("already-logged-in") && !state.logins++)
		return CKR_USER_ALREADY_LOGGED_IN;
	state.logins++;
	typed("pinpad", &pin, &length);
	if (!is_present())
		return CKR_DEVICE_REMOVED;
	if (user == CKU_CONTEXT_SPECIFIC && fault("always-authenticate"))
		return done("C_Login", log_in_for_key(pin, length));
	return done("C_Login", log_in_counted(session, user, pin, length));
}

static ck_ulong set_pin(ck_ulong session, ck_byte *old, ck_ulong old_length, ck_byte *pin, ck_ulong length)
{
	ck_ulong rv;

	note("C_SetPIN", old_length, length);
	if (refuses("C_SetPIN", &rv))
		return rv;
	typed("pinpad", &old, &old_length);
	typed("pinpad-new", &pin, &length);
	rv = REAL(SET_PIN, set_pin, session, old, old_length, pin, length);
	if (rv == CKR_OK)
		note_change();
	return done("C_SetPIN", rv);
}

static ck_ulong init_pin(ck_ulong session, ck_byte *pin, ck_ulong length)
{
	ck_ulong rv;

	note("C_InitPIN", 0, length);
	if (refuses("C_InitPIN", &rv))
		return rv;
	typed("pinpad-new", &pin, &length);
	rv = REAL(INIT_PIN, init_pin, session, pin, length);
	if (rv == CKR_OK)
		set_tries(TRIES);
	return done("C_InitPIN", rv);
}

static ck_ulong log_out(ck_ulong session)
{
	ck_ulong rv;

	note("C_Logout", 0, 0);
	if (refuses("C_Logout", &rv))
		return rv;
	rv = REAL(LOGOUT, log_out, session);
	return done("C_Logout", fault("already-logged-in") ? CKR_OK : rv);
}

/* Lie about CKA_VALUE. What lies beyond the buffer is never written, only claimed. */
static ck_ulong lie_about(struct ck_attribute *attribute, ck_ulong room, ck_ulong rv)
{
	const char *how = fault("attr"), *what = fault("cert");

	if (is(how, "huge"))
		return attribute->length = 1UL << 62, CKR_OK;
	if (is(how, "minus"))
		return attribute->length = ~0UL, CKR_OK;
	if (is(how, "grow"))
		return attribute->length = room + 1, CKR_OK;
	if (is(how, "small"))
		return attribute->length = ~0UL, CKR_BUFFER_TOO_SMALL;
	if (is(what, "empty"))
		attribute->length = 0;
	if (is(what, "garbage") && attribute->value)
		memset(attribute->value, 0x5a, attribute->length);
	if (swapped("certificate") && attribute->value && rv == CKR_OK && attribute->length && attribute->length <= room)
		((ck_byte *)attribute->value)[attribute->length - 1] ^= 1;
	return rv;
}

static ck_ulong get_attribute_value(ck_ulong session, ck_ulong object, struct ck_attribute *attributes, ck_ulong count)
{
	ck_ulong rv, room = count ? attributes[0].length : 0;

	if (refuses("C_GetAttributeValue", &rv))
		return rv;
	rv = REAL(GET_ATTRIBUTE_VALUE, get_attribute_value, session, object, attributes, count);
	if (count == 1 && attributes[0].type == CKA_VALUE)
		rv = lie_about(&attributes[0], room, rv);
	if (count == 1 && attributes[0].type == CKA_ALWAYS_AUTHENTICATE && attributes[0].value && room && fault("always-authenticate"))
		*(ck_byte *)attributes[0].value = 1, attributes[0].length = 1, rv = CKR_OK;
	return done("C_GetAttributeValue", rv);
}

static ck_ulong find_objects_init(ck_ulong session, void *attributes, ck_ulong count)
{
	ck_ulong rv;

	if (refuses("C_FindObjectsInit", &rv))
		return rv;
	return done("C_FindObjectsInit", REAL(FIND_OBJECTS_INIT, find_objects_init, session, attributes, count));
}

static ck_ulong find_objects(ck_ulong session, ck_ulong *objects, ck_ulong most, ck_ulong *count)
{
	const char *how = fault("objects");
	ck_ulong rv, found = 0;

	if (refuses("C_FindObjects", &rv))
		return rv;
	rv = REAL(FIND_OBJECTS, find_objects, session, objects, most, &found);
	if (is(how, "endless"))
		for (found = 0; found < most; found++)
			objects[found] = objects[0];
	*count = is(how, "overflow") ? most + 1 : found;
	return done("C_FindObjects", rv);
}

static ck_ulong find_objects_final(ck_ulong session)
{
	ck_ulong rv;

	if (refuses("C_FindObjectsFinal", &rv))
		return rv;
	return done("C_FindObjectsFinal", REAL(FIND_OBJECTS_FINAL, find_objects_final, session));
}

static ck_ulong sign_init(ck_ulong session, void *mechanism, ck_ulong key)
{
	ck_ulong rv;

	note("C_SignInit", *(ck_ulong *)mechanism, 0);
	if (refuses("C_SignInit", &rv))
		return rv;
	return done("C_SignInit", REAL(SIGN_INIT, sign_init, session, mechanism, key));
}

static ck_ulong sign(ck_ulong session, ck_byte *content, ck_ulong length, ck_byte *signature, ck_ulong *size)
{
	const char *claimed = fault("sig-len");
	ck_ulong rv;

	note("C_Sign", 0, length);
	if (refuses("C_Sign", &rv))
		return rv;
	rv = REAL(SIGN, sign, session, content, length, signature, size);
	if (is(fault("sig"), "zero") && signature)
		memset(signature, 0, *size);
	if (claimed)
		*size = strtoul(claimed, NULL, 0);
	return done("C_Sign", rv);
}

/* The events of the file HOSTILE_TOKEN, all of them in the first slot. */
static ck_ulong wait_for_file(ck_ulong flags, ck_ulong *slot)
{
	ck_ulong slots[64], count = 64;

	if (!(flags & CKF_DONT_BLOCK) && !fault("events"))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (!(flags & CKF_DONT_BLOCK))
		note("blocking", 0, 0);
	while (is_present() == state.present) {
		if (flags & CKF_DONT_BLOCK)
			return CKR_NO_EVENT;
		usleep(10000);
	}
	state.present = !state.present;
	if (REAL(GET_SLOT_LIST, get_slot_list, 1, slots, &count) != CKR_OK || !count)
		return CKR_NO_EVENT;
	*slot = slots[0];
	return CKR_OK;
}

static ck_ulong wait_for_slot_event(ck_ulong flags, ck_ulong *slot, void *reserved)
{
	ck_ulong rv, slots[64], count = 64;

	if (refuses("C_WaitForSlotEvent", &rv))
		return rv;
	if (getenv("HOSTILE_TOKEN"))
		return wait_for_file(flags, slot);
	/* the first call ends the report, the second begins the order */
	if (++state.event_calls != 2 || !swapped("event"))
		return REAL(WAIT_FOR_SLOT_EVENT, wait_for_slot_event, flags, slot, reserved);
	rv = REAL(GET_SLOT_LIST, get_slot_list, 1, slots, &count);
	*slot = slots[0];
	return rv;
}

EXPORT ck_ulong C_GetFunctionList(struct function_list **list);

EXPORT ck_ulong C_GetFunctionList(struct function_list **list)
{
	const char *path = getenv("HOSTILE_REAL");
	ck_ulong (*get)(struct function_list **);
	void *real = dlopen(path ? path : "/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);

	get = real ? (ck_ulong (*)(struct function_list **))dlsym(real, "C_GetFunctionList") : NULL;
	if (!get || get(&state.real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	state.ours = *state.real;
	state.ours.function[INITIALIZE] = initialize;
	state.ours.function[FINALIZE] = finalize;
	state.ours.function[GET_INFO] = get_info;
	state.ours.function[GET_SLOT_LIST] = get_slot_list;
	state.ours.function[GET_SLOT_INFO] = get_slot_info;
	state.ours.function[GET_TOKEN_INFO] = get_token_info;
	state.ours.function[GET_MECHANISM_INFO] = get_mechanism_info;
	state.ours.function[INIT_PIN] = init_pin;
	state.ours.function[SET_PIN] = set_pin;
	state.ours.function[OPEN_SESSION] = open_session;
	state.ours.function[CLOSE_SESSION] = close_session;
	state.ours.function[LOGIN] = log_in;
	state.ours.function[LOGOUT] = log_out;
	state.ours.function[GET_ATTRIBUTE_VALUE] = get_attribute_value;
	state.ours.function[FIND_OBJECTS_INIT] = find_objects_init;
	state.ours.function[FIND_OBJECTS] = find_objects;
	state.ours.function[FIND_OBJECTS_FINAL] = find_objects_final;
	state.ours.function[SIGN_INIT] = sign_init;
	state.ours.function[SIGN] = sign;
	state.ours.function[WAIT_FOR_SLOT_EVENT] = wait_for_slot_event;
	*list = &state.ours;
	return CKR_OK;
}
