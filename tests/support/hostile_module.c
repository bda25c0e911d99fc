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
 *   flags:0xN flags-after:0xN                    set flags of CK_TOKEN_INFO; from the first C_Login on
 *   pin-length:MIN:MAX                           as CK_TOKEN_INFO has it
 *   already-logged-in                            the first C_Login finds somebody logged in
 *   swap:serial swap:certificate swap:gone swap:event     the token after it was read once
 *   swap:final-try swap:locked                   its PIN state after it was read once
 *   opensc                                       the module says that it is OpenSC
 *   environment                                  the names of all variables go to the log
 *   sig:zero sig-len:N                           a signature of zeros; N as its length
 *
 * Each call that matters is a line in the file of the variable HOSTILE_LOG: name and, for C_Login, kind of user and
 * length of the PIN. HOSTILE_REAL is the module to wrap; the default is SoftHSM.
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
enum { CKA_VALUE = 0x11, CKF_TOKEN_PRESENT = 1, BROKEN_SLOT = 7777 };

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
	GET_TOKEN_INFO = 6, GET_MECHANISM_INFO = 8, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, LOGOUT = 19,
	GET_ATTRIBUTE_VALUE = 24, FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, FIND_OBJECTS_FINAL = 28, SIGN_INIT = 42,
	SIGN = 43, WAIT_FOR_SLOT_EVENT = 67, FUNCTIONS = 68
};
struct function_list { ck_byte version[2]; void *function[FUNCTIONS]; };

static struct {
	struct function_list *real;
	struct function_list ours;
	ck_ulong logins, event_calls;
	bool read_once;
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
	if (swapped("gone"))
		info->flags &= ~(ck_ulong)CKF_TOKEN_PRESENT;
	return done("C_GetSlotInfo", rv);
}

static ck_ulong get_token_info(ck_ulong slot, struct ck_token_info *info)
{
	const char *flags = fault("flags"), *later = fault("flags-after"), *lengths = fault("pin-length");
	ck_ulong rv;

	if (refuses("C_GetTokenInfo", &rv))
		return rv;
	if (swapped("gone"))
		return CKR_TOKEN_NOT_PRESENT;
	rv = REAL(GET_TOKEN_INFO, get_token_info, slot, info);
	if (flags)
		info->flags |= strtoul(flags, NULL, 16);
	if (later && state.logins)
		info->flags |= strtoul(later, NULL, 16);
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

static ck_ulong open_session(ck_ulong slot, ck_ulong flags, void *application, void *notify, ck_ulong *session)
{
	ck_ulong rv;

	note("C_OpenSession", 0, 0);
	if (refuses("C_OpenSession", &rv))
		return rv;
	return done("C_OpenSession", REAL(OPEN_SESSION, open_session, slot, flags, application, notify, session));
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

static ck_ulong log_in(ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong length)
{
	ck_ulong rv;

	note("C_Login", user, length);
	if (refuses("C_Login", &rv))
		return state.logins++, rv;
	if (fault("already-logged-in") && !state.logins++)
		return CKR_USER_ALREADY_LOGGED_IN;
	state.logins++;
	return done("C_Login", REAL(LOGIN, log_in, session, user, pin, length));
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

static ck_ulong wait_for_slot_event(ck_ulong flags, ck_ulong *slot, void *reserved)
{
	ck_ulong rv, slots[64], count = 64;

	if (refuses("C_WaitForSlotEvent", &rv))
		return rv;
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
