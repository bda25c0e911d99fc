# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one table of reasons: every way a login can be refused, each exactly once.

A row says at which step of a login (see decide.py) the reason arises, which PAM code the application gets, what the
person at the prompt reads, and how loud the log line is. The event name is the reason's own value. What a person reads
never tells more than helps them; the log gets the reason and its detail.
"""

from __future__ import annotations

import enum

from pam_sc.record import record


class PamCode(enum.IntEnum):
    """The Linux-PAM return codes a verdict may carry (security/_pam_types.h). IGNORE only where a file asks for it."""

    SUCCESS = 0
    SERVICE_ERR = 3
    SYSTEM_ERR = 4
    BUF_ERR = 5
    AUTH_ERR = 7
    AUTHINFO_UNAVAIL = 9
    USER_UNKNOWN = 10
    MAXTRIES = 11
    CONV_ERR = 19
    AUTHTOK_ERR = 20
    AUTHTOK_RECOVERY_ERR = 21
    TRY_AGAIN = 24
    IGNORE = 25
    INCOMPLETE = 31


class Severity(enum.IntEnum):
    """syslog severities (RFC 5424, table 2)."""

    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Step(enum.IntEnum):
    """The eleven steps of a login, as numbered in decide.py; 0 is everything before the first."""

    START = 0
    REQUEST = 1
    TOKEN = 2
    CERTIFICATES = 3
    SUITABLE = 4
    PATH = 5
    REVOCATION = 6
    MAPPING = 7
    CANDIDATES = 8
    PIN = 9
    PROOF = 10
    SIGNATURE = 11
    CHANGE = 12
    """No step of a login: a PIN is changed or unblocked."""


class Reason(enum.Enum):
    """Why a login was refused. The value is the event name in the log."""

    # before the first step
    CONFIGURATION_UNUSABLE = "configuration-unusable"
    ISOLATION_FAILED = "isolation-failed"
    INTERNAL_ERROR = "internal-error"
    OUT_OF_MEMORY = "out-of-memory"
    # 1 the request
    SERVICE_NOT_ALLOWED = "service-not-allowed"
    ACCOUNT_NOT_ALLOWED = "account-not-allowed"
    REMOTE_REFUSED = "remote-refused"
    ACCOUNT_UNKNOWN = "account-unknown"
    ACCOUNT_LOOKUP_FAILED = "account-lookup-failed"
    ACCOUNT_NOT_NAMED = "account-not-named"
    ROOT_NOT_ALLOWED = "root-not-allowed"
    OTHER_ACCOUNT = "other-account"
    # 2 the token
    CARD_SERVICE_DOWN = "card-service-down"
    MODULE_UNUSABLE = "module-unusable"
    NO_READER = "no-reader"
    NO_CARD = "no-card"
    TOKEN_HIDDEN = "token-hidden"
    TOKEN_UNREADABLE = "token-unreadable"
    TOKEN_NOT_SELECTED = "token-not-selected"
    OTHER_CARD_THAN_LOGIN = "other-card-than-login"
    NO_CARD_LOGIN = "no-card-login"
    WAIT_CANCELLED = "wait-cancelled"
    CARD_PROCESS_LOST = "card-process-lost"
    CARD_TIMEOUT = "card-timeout"
    # 3 its certificates
    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_UNREADABLE = "certificate-unreadable"
    CERTIFICATE_NOT_SELECTED = "certificate-not-selected"
    # 4 suitable
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_EXPIRED = "certificate-expired"
    KEY_USAGE_UNSUITABLE = "key-usage-unsuitable"
    EXTENDED_KEY_USAGE_UNSUITABLE = "extended-key-usage-unsuitable"
    KEY_UNSUPPORTED = "key-unsupported"
    KEY_TOO_WEAK = "key-too-weak"
    ALGORITHM_TOO_WEAK = "algorithm-too-weak"
    # 5 the path
    UNTRUSTED = "untrusted"
    PATH_INVALID = "path-invalid"
    PATH_TOO_WEAK = "path-too-weak"
    # 6 revocation
    CERTIFICATE_REVOKED = "certificate-revoked"
    ISSUER_REVOKED = "issuer-revoked"
    REVOCATION_NOT_AT_HAND = "revocation-not-at-hand"
    REVOCATION_STALE = "revocation-stale"
    REVOCATION_UNKNOWN = "revocation-unknown"
    # 7 mapping
    NOT_MAPPED = "not-mapped"
    MAPPED_TO_SEVERAL = "mapped-to-several"
    MAPPED_ACCOUNT_UNKNOWN = "mapped-account-unknown"
    MAPPER_FAILED = "mapper-failed"
    DIRECTORY_UNREACHABLE = "directory-unreachable"
    DIRECTORY_TIMEOUT = "directory-timeout"
    DIRECTORY_TLS_FAILED = "directory-tls-failed"
    DIRECTORY_BIND_REFUSED = "directory-bind-refused"
    DIRECTORY_REFERRAL = "directory-referral"
    DIRECTORY_SEVERAL_ENTRIES = "directory-several-entries"
    DIRECTORY_ANSWER_UNUSABLE = "directory-answer-unusable"
    HOME_FILE_NOT_BELIEVED = "home-file-not-believed"
    PROGRAM_FAILED = "program-failed"
    PROGRAM_TIMEOUT = "program-timeout"
    PROGRAM_ANSWER_UNUSABLE = "program-answer-unusable"
    # 8 the candidates
    CHOICE_NOT_MADE = "choice-not-made"
    # 9 the PIN
    PIN_LOCKED = "pin-locked"
    PIN_LAST_TRY = "pin-last-try"
    PIN_NOT_SET = "pin-not-set"
    PIN_NOT_ASKED_FOR = "pin-not-asked-for"
    PINPAD_ONLY = "pinpad-only"
    PIN_EMPTY = "pin-empty"
    PIN_NOT_GIVEN = "pin-not-given"
    NO_STACKED_PIN = "no-stacked-pin"
    PIN_FORM = "pin-form"
    PIN_TRIES_USED = "pin-tries-used"
    PIN_TRIES_UNCOUNTED = "pin-tries-uncounted"
    PINPAD_CANCELLED = "pinpad-cancelled"
    PINPAD_TIMEOUT = "pinpad-timeout"
    PROMPT_TIMEOUT = "prompt-timeout"
    CONVERSATION_FAILED = "conversation-failed"
    CONVERSATION_AGAIN = "conversation-again"
    ANSWER_TOO_LONG = "answer-too-long"
    # 10 the proof
    TOKEN_REMOVED = "token-removed"
    TOKEN_CHANGED = "token-changed"
    PIN_WRONG = "pin-wrong"
    PIN_WRONG_FEW_LEFT = "pin-wrong-few-left"
    PIN_WRONG_ONE_LEFT = "pin-wrong-one-left"
    PIN_REPEATED = "pin-repeated"
    PIN_WRONG_NOW_LOCKED = "pin-wrong-now-locked"
    PIN_EXPIRED = "pin-expired"
    PIN_TO_BE_CHANGED = "pin-to-be-changed"
    LOGIN_FAILED = "login-failed"
    NO_PRIVATE_KEY = "no-private-key"
    MECHANISM_REFUSED = "mechanism-refused"
    SIGNING_FAILED = "signing-failed"
    CARD_PROCESS_LOST_AFTER_PIN = "card-process-lost-after-pin"
    CARD_TIMEOUT_AFTER_PIN = "card-timeout-after-pin"
    # 11 the signature
    SIGNATURE_INVALID = "signature-invalid"
    # changing and unblocking a PIN
    NEW_PIN_UNFIT = "new-pin-unfit"
    NEW_PIN_REPEAT_DIFFERS = "new-pin-repeat-differs"
    NEW_PIN_SAME = "new-pin-same"
    PUK_WRONG = "puk-wrong"
    PUK_LOCKED = "puk-locked"
    PIN_CHANGE_FAILED = "pin-change-failed"
    PIN_CHANGE_UNSUPPORTED = "pin-change-unsupported"
    NO_CARD_TO_CHANGE = "no-card-to-change"


@record
class ReasonRow:
    """What one reason means for the application, the person, the log and the administrator."""

    step: Step
    code: PamCode
    severity: Severity
    text: str
    """What the person reads, if anything, with places for values (texts.py). Never more than helps them; details are for
    the log."""
    hint: str
    """What an administrator can do, shown by `pam-sc explain`."""


_REJECTED = "The card was not accepted"
_NO_DIRECTORY = "The directory could not be asked"

REASONS: dict[Reason, ReasonRow] = {
    Reason.CONFIGURATION_UNUSABLE: ReasonRow(
        Step.START, PamCode.SERVICE_ERR, Severity.ALERT,
        "Card login is not set up correctly", "run: pam-sc check-config",
    ),
    Reason.ISOLATION_FAILED: ReasonRow(
        Step.START, PamCode.SERVICE_ERR, Severity.ALERT,
        "Card login is not set up correctly", "check that the accounts pam_sc and [token] run_as exist",
    ),
    Reason.INTERNAL_ERROR: ReasonRow(
        Step.START, PamCode.SYSTEM_ERR, Severity.CRITICAL,
        "Card login failed", "this is a defect in pam_sc; report the log line",
    ),
    Reason.OUT_OF_MEMORY: ReasonRow(
        Step.START, PamCode.BUF_ERR, Severity.CRITICAL,
        "Card login failed", "the machine is out of memory or file descriptors",
    ),

    Reason.SERVICE_NOT_ALLOWED: ReasonRow(
        Step.REQUEST, PamCode.AUTH_ERR, Severity.NOTICE,
        "Card login is not allowed here", "add the service to [account] services",
    ),
    Reason.ACCOUNT_NOT_ALLOWED: ReasonRow(
        Step.REQUEST, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "look at [account] may_use and must_not_use",
    ),
    Reason.REMOTE_REFUSED: ReasonRow(
        Step.REQUEST, PamCode.AUTHINFO_UNAVAIL, Severity.NOTICE,
        "Card login is only possible at this machine itself", 'set [account] remote = "allow" to permit it',
    ),
    Reason.ACCOUNT_UNKNOWN: ReasonRow(
        Step.REQUEST, PamCode.USER_UNKNOWN, Severity.NOTICE,
        _REJECTED, "the account does not exist on this machine: getent passwd NAME",
    ),
    Reason.ACCOUNT_LOOKUP_FAILED: ReasonRow(
        Step.REQUEST, PamCode.SYSTEM_ERR, Severity.ERROR,
        "Card login failed", "the name service gave an error: getent passwd NAME",
    ),
    Reason.ACCOUNT_NOT_NAMED: ReasonRow(
        Step.REQUEST, PamCode.AUTH_ERR, Severity.NOTICE,
        "Please give the account name", "add the service to [account] card_names_user if the card may name the account",
    ),
    Reason.ROOT_NOT_ALLOWED: ReasonRow(
        Step.REQUEST, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "accounts with uid 0 need [account] allow_root = true",
    ),
    Reason.OTHER_ACCOUNT: ReasonRow(
        Step.REQUEST, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "a program without privilege can only be granted the account that runs it",
    ),

    Reason.CARD_SERVICE_DOWN: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.WARNING,
        "The card service of this machine is not running", "start pcscd: systemctl start pcscd.socket",
    ),
    Reason.MODULE_UNUSABLE: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.ERROR,
        "Card login is not available", "check [[token.module]] path: pam-sc inspect",
    ),
    Reason.NO_READER: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.INFO,
        "No card reader found", "connect a reader; pam-sc inspect lists what the module sees",
    ),
    Reason.NO_CARD: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.INFO,
        "No card found", "insert the card; pam-sc inspect lists what the module sees",
    ),
    Reason.TOKEN_HIDDEN: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.ERROR,
        "No card found", "let [token] run_as read the token's files; for a program without privilege, its user",
    ),
    Reason.TOKEN_UNREADABLE: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.WARNING,
        "The card could not be read", "try the card again; pam-sc inspect shows the error",
    ),
    Reason.TOKEN_NOT_SELECTED: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.NOTICE,
        "This card cannot be used here", "a token is present, but [token] select does not match it",
    ),
    Reason.OTHER_CARD_THAN_LOGIN: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.NOTICE,
        "Please insert the card that you logged in with", "[unlock] same_card wants the card that opened the session",
    ),
    Reason.NO_CARD_LOGIN: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.INFO,
        "This session was not opened with a card", "[unlock] same_card and otherwise say what then holds",
    ),
    Reason.WAIT_CANCELLED: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.INFO,
        "No card was inserted", "the waiting for a card was cancelled",
    ),
    Reason.CARD_PROCESS_LOST: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.ERROR,
        "The card could not be read", "the PKCS#11 module crashed or misbehaved",
    ),
    Reason.CARD_TIMEOUT: ReasonRow(
        Step.TOKEN, PamCode.AUTHINFO_UNAVAIL, Severity.ERROR,
        "The card did not answer in time", "the PKCS#11 module or the reader hangs; raise timeout= if it is only slow",
    ),

    Reason.NO_CERTIFICATE: ReasonRow(
        Step.CERTIFICATES, PamCode.USER_UNKNOWN, Severity.NOTICE,
        "There is no certificate on the card", "the token shows no X.509 certificate without a login",
    ),
    Reason.CERTIFICATE_UNREADABLE: ReasonRow(
        Step.CERTIFICATES, PamCode.AUTH_ERR, Severity.WARNING,
        _REJECTED, "the certificate on the token cannot be parsed",
    ),

    Reason.CERTIFICATE_NOT_SELECTED: ReasonRow(
        Step.CERTIFICATES, PamCode.USER_UNKNOWN, Severity.NOTICE,
        "The card has no certificate for this login", "the token has certificates, but [certificate] select matches none",
    ),

    Reason.CERTIFICATE_NOT_YET_VALID: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card is not valid yet", "check this machine's clock, else wait",
    ),
    Reason.CERTIFICATE_EXPIRED: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card expired on {date}", "the certificate must be renewed",
    ),
    Reason.KEY_USAGE_UNSUITABLE: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "keyUsage must contain digitalSignature where it is present",
    ),
    Reason.EXTENDED_KEY_USAGE_UNSUITABLE: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "extendedKeyUsage must contain clientAuth, smartcardLogon or anyExtendedKeyUsage where it is present",
    ),
    Reason.KEY_UNSUPPORTED: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "the key must be RSA, ECDSA P-256/384/521, Ed25519 or Ed448",
    ),
    Reason.KEY_TOO_WEAK: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "RSA keys must have at least 2048 bits",
    ),
    Reason.ALGORITHM_TOO_WEAK: ReasonRow(
        Step.SUITABLE, PamCode.AUTH_ERR, Severity.NOTICE,
        _REJECTED, "the certificate is signed with a broken hash; it must be renewed",
    ),

    Reason.UNTRUSTED: ReasonRow(
        Step.PATH, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card is not trusted here",
        "put the issuing CA into [trust] intermediates, or its root into [trust] anchors, if it is to be trusted",
    ),
    Reason.PATH_INVALID: ReasonRow(
        Step.PATH, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card is not trusted here",
        "the certificate that breaks a rule of RFC 5280 must be renewed, or see 'Old PKIs' in docs/trust.md",
    ),
    Reason.PATH_TOO_WEAK: ReasonRow(
        Step.PATH, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card is not trusted here",
        "the certificate with a weak key or a broken hash must be renewed, or see 'Old PKIs' in docs/trust.md",
    ),

    Reason.CERTIFICATE_REVOKED: ReasonRow(
        Step.REVOCATION, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card has been revoked",
        "the card must be replaced; pam-sc explain names the CRL or the OCSP responder that says so",
    ),
    Reason.ISSUER_REVOKED: ReasonRow(
        Step.REVOCATION, PamCode.AUTH_ERR, Severity.NOTICE,
        "The certificate on the card is not trusted here",
        "a CA on the path is revoked, and with it all of its cards; pam-sc explain names it",
    ),
    Reason.REVOCATION_NOT_AT_HAND: ReasonRow(
        Step.REVOCATION, PamCode.AUTH_ERR, Severity.WARNING,
        "It could not be checked whether the certificate on the card has been revoked",
        "fetch what it needs: pam-sc refresh --from-card (card inserted), or put the CRL into [revocation] crls",
    ),
    Reason.REVOCATION_STALE: ReasonRow(
        Step.REVOCATION, PamCode.AUTH_ERR, Severity.WARNING,
        "It could not be checked whether the certificate on the card has been revoked",
        "fetch a newer one: pam-sc refresh; if that does not help, the CA has not issued one",
    ),
    Reason.REVOCATION_UNKNOWN: ReasonRow(
        Step.REVOCATION, PamCode.AUTH_ERR, Severity.WARNING,
        "It could not be checked whether the certificate on the card has been revoked",
        "what is at hand does not answer for this certificate: pam-sc explain says why, and pam-sc store what there is",
    ),

    Reason.NOT_MAPPED: ReasonRow(
        Step.MAPPING, PamCode.USER_UNKNOWN, Severity.NOTICE,
        "This card does not belong to this account",
        "no mapper connects the certificate with the account: pam-sc inspect shows what each sees, pam-sc enroll adds it to a mapfile",
    ),
    Reason.MAPPED_TO_SEVERAL: ReasonRow(
        Step.MAPPING, PamCode.USER_UNKNOWN, Severity.NOTICE,
        "Please give the account name", "the certificates map to more than one account",
    ),
    Reason.MAPPED_ACCOUNT_UNKNOWN: ReasonRow(
        Step.MAPPING, PamCode.USER_UNKNOWN, Severity.NOTICE,
        _REJECTED, "the certificate maps to an account that does not exist here",
    ),
    Reason.MAPPER_FAILED: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        "Card login failed", "a mapper could not answer; run: pam-sc check-config",
    ),
    Reason.DIRECTORY_UNREACHABLE: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "check that the servers of the mapper's uri run, and that this machine reaches their ports",
    ),
    Reason.DIRECTORY_TIMEOUT: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "the directory was too slow: connect_timeout and search_timeout of the mapper, an index for its filter",
    ),
    Reason.DIRECTORY_TLS_FAILED: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "the server did not prove who it is: compare its certificate with the mapper's ca and uri",
    ),
    Reason.DIRECTORY_BIND_REFUSED: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "check bind_dn and password_file of the mapper, or its client certificate",
    ),
    Reason.DIRECTORY_REFERRAL: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "the directory sends elsewhere, which is not followed: name that server in uri, or a base that it holds",
    ),
    Reason.DIRECTORY_SEVERAL_ENTRIES: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.WARNING,
        _REJECTED, "more than one entry fits, and none is picked: narrow the mapper's filter or base",
    ),
    Reason.DIRECTORY_ANSWER_UNUSABLE: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        _NO_DIRECTORY, "the log line says what is wrong: a base that does not exist, a filter, a right, or the size of an entry",
    ),
    Reason.HOME_FILE_NOT_BELIEVED: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.WARNING,
        "Card login failed", "a file in a home could be anybody's, or the service must not believe it",
    ),
    Reason.PROGRAM_FAILED: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        "Card login failed", "run the program of the mapper command by hand, as its run_as: pam-sc explain says how it ended",
    ),
    Reason.PROGRAM_TIMEOUT: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        "Card login failed", "the program of the mapper command is too slow for its timeout",
    ),
    Reason.PROGRAM_ANSWER_UNUSABLE: ReasonRow(
        Step.MAPPING, PamCode.AUTH_ERR, Severity.ERROR,
        "Card login failed", "the program of the mapper command must write one line of JSON; pam-sc explain says what is wrong",
    ),

    Reason.CHOICE_NOT_MADE: ReasonRow(
        Step.CANDIDATES, PamCode.AUTH_ERR, Severity.NOTICE,
        "Nothing was chosen", "the list of cards or accounts was cancelled, or the answer is not in it",
    ),

    Reason.PIN_LOCKED: ReasonRow(
        Step.PIN, PamCode.MAXTRIES, Severity.WARNING,
        "The PIN of the card is locked", "the PIN must be unblocked with the PUK or by the issuer",
    ),
    Reason.PIN_LAST_TRY: ReasonRow(
        Step.PIN, PamCode.MAXTRIES, Severity.WARNING,
        "Only one PIN try is left, and it is not used here", "set [pin] allow_last_try = true to permit it",
    ),
    Reason.PIN_NOT_SET: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.WARNING,
        "The card has no PIN yet", "the token's user PIN was never set",
    ),
    Reason.PIN_NOT_ASKED_FOR: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.WARNING,
        _REJECTED, "the token asks for no PIN, so possession alone would be a login: [pin] allow_no_pin permits that",
    ),
    Reason.PINPAD_ONLY: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.WARNING,
        "This reader takes the PIN on its own keypad, which is not set up here",
        "set [pin] pinpad = true, or use a reader without a keypad",
    ),
    Reason.PIN_EMPTY: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "An empty PIN is not accepted", "the answer to the prompt was empty",
    ),
    Reason.PIN_NOT_GIVEN: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "No PIN was given", "the prompt was cancelled",
    ),
    Reason.NO_STACKED_PIN: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "No PIN was given", "use_first_pass is set, but no earlier module asked for a password",
    ),
    Reason.PIN_FORM: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "This cannot be the PIN of the card: its length or form does not fit", "the answer was not sent to the card",
    ),
    Reason.PIN_TRIES_USED: ReasonRow(
        Step.PIN, PamCode.MAXTRIES, Severity.WARNING,
        "Too many wrong PINs; the card is not asked again",
        "the token shows no counter of tries, so wrong ones are counted here: as root, pam-sc pin forget",
    ),
    Reason.PIN_TRIES_UNCOUNTED: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.ERROR,
        "Card login failed",
        "wrong PINs cannot be counted: /run/pam_sc/tries must be a folder of pam_sc alone: systemd-tmpfiles --create",
    ),
    Reason.PINPAD_CANCELLED: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "No PIN was entered on the reader", "the entry on the reader was cancelled",
    ),
    Reason.PINPAD_TIMEOUT: ReasonRow(
        Step.PIN, PamCode.AUTH_ERR, Severity.NOTICE,
        "The time to enter the PIN is over", "nobody typed a PIN on the reader",
    ),
    Reason.PROMPT_TIMEOUT: ReasonRow(
        Step.PIN, PamCode.AUTHINFO_UNAVAIL, Severity.NOTICE,
        "The time to enter the PIN is over", "nobody answered the prompt",
    ),
    Reason.CONVERSATION_FAILED: ReasonRow(
        Step.PIN, PamCode.CONV_ERR, Severity.NOTICE,
        "The PIN could not be asked for", "the application's conversation failed or was interrupted",
    ),
    Reason.CONVERSATION_AGAIN: ReasonRow(
        Step.PIN, PamCode.INCOMPLETE, Severity.DEBUG,
        "", "the application asked to be called again; this is no refusal",
    ),
    Reason.ANSWER_TOO_LONG: ReasonRow(
        Step.PIN, PamCode.CONV_ERR, Severity.NOTICE,
        "The answer is too long", "an answer may have at most 512 bytes",
    ),

    Reason.TOKEN_REMOVED: ReasonRow(
        Step.PROOF, PamCode.AUTHINFO_UNAVAIL, Severity.NOTICE,
        "The card was removed before the login was finished", "the token left between reading and PIN; no PIN was sent",
    ),
    Reason.TOKEN_CHANGED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.WARNING,
        "The card was exchanged before the login was finished", "the token or its certificate changed between reading and PIN; no PIN was sent",
    ),
    Reason.PIN_WRONG: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "Wrong PIN", "one PIN try of the card was used",
    ),
    Reason.PIN_WRONG_FEW_LEFT: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "Wrong PIN; only a few tries are left", "one PIN try of the card was used",
    ),
    Reason.PIN_WRONG_ONE_LEFT: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.WARNING,
        "Wrong PIN; only one try is left", "one PIN try of the card was used; the last one is used only with [pin] allow_last_try",
    ),
    Reason.PIN_REPEATED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "The card has just refused this PIN; it was not sent again", "the answer was the one that the card had just refused, so it was not sent again",
    ),
    Reason.PIN_WRONG_NOW_LOCKED: ReasonRow(
        Step.PROOF, PamCode.MAXTRIES, Severity.WARNING,
        "Wrong PIN; the PIN of the card is now locked", "the PIN must be unblocked with the PUK or by the issuer",
    ),
    Reason.PIN_EXPIRED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "The PIN of the card has expired", "the PIN must be changed",
    ),
    Reason.PIN_TO_BE_CHANGED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "The PIN of the card must be changed first", "the token lets nobody in before its PIN is changed: pam-sc pin change",
    ),
    Reason.LOGIN_FAILED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.WARNING,
        "The card did not accept the login", "C_Login failed for another reason than a wrong PIN",
    ),
    Reason.NO_PRIVATE_KEY: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.NOTICE,
        "The card cannot prove that it is yours", "no private key on the token belongs to the certificate",
    ),
    Reason.MECHANISM_REFUSED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.WARNING,
        "The card cannot prove that it is yours", "the token supports none of the signature mechanisms for this key",
    ),
    Reason.SIGNING_FAILED: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.WARNING,
        "The card cannot prove that it is yours", "the token failed to sign",
    ),
    Reason.CARD_PROCESS_LOST_AFTER_PIN: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.ERROR,
        "The card failed", "the PKCS#11 module crashed or misbehaved after it had the PIN",
    ),
    Reason.CARD_TIMEOUT_AFTER_PIN: ReasonRow(
        Step.PROOF, PamCode.AUTH_ERR, Severity.ERROR,
        "The card did not answer in time", "the PKCS#11 module or the reader hangs after it had the PIN",
    ),

    Reason.SIGNATURE_INVALID: ReasonRow(
        Step.SIGNATURE, PamCode.AUTH_ERR, Severity.ALERT,
        "The card cannot prove that it is yours", "the signature does not verify under the certificate's key",
    ),

    Reason.NEW_PIN_UNFIT: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_ERR, Severity.NOTICE,
        "The length or form of the new PIN does not fit", "look at the token's limits and [pin]",
    ),
    Reason.NEW_PIN_REPEAT_DIFFERS: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_ERR, Severity.NOTICE,
        "The two new PINs are not the same", "nothing was changed",
    ),
    Reason.NEW_PIN_SAME: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_ERR, Severity.NOTICE,
        "The new PIN is the same as the old one", "nothing was changed",
    ),
    Reason.PUK_WRONG: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_RECOVERY_ERR, Severity.NOTICE,
        "Wrong PUK", "one PUK try of the card was used",
    ),
    Reason.PUK_LOCKED: ReasonRow(
        Step.CHANGE, PamCode.MAXTRIES, Severity.WARNING,
        "The PUK of the card is locked", "only the issuer of the card can help",
    ),
    Reason.PIN_CHANGE_FAILED: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_ERR, Severity.WARNING,
        "The card did not change the PIN", "C_SetPIN or C_InitPIN failed; the detail has its return value",
    ),
    Reason.PIN_CHANGE_UNSUPPORTED: ReasonRow(
        Step.CHANGE, PamCode.AUTHTOK_ERR, Severity.NOTICE,
        "The PIN of this card cannot be changed here", "the PKCS#11 module does not offer it; use the issuer's own tool",
    ),
    Reason.NO_CARD_TO_CHANGE: ReasonRow(
        Step.CHANGE, PamCode.TRY_AGAIN, Severity.NOTICE,
        "No card found", "the PIN can only be changed while the card is inserted",
    ),
}
