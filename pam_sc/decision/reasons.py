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
    """The Linux-PAM return codes a verdict may carry (security/_pam_types.h). PAM_IGNORE is not among them."""

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
    TRY_AGAIN = 24
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


class Reason(enum.Enum):
    """Why a login was refused. The value is the event name in the log."""

    # before the first step
    CONFIGURATION_UNUSABLE = "configuration-unusable"
    ISOLATION_FAILED = "isolation-failed"
    INTERNAL_ERROR = "internal-error"
    OUT_OF_MEMORY = "out-of-memory"
    # 1 the request
    SERVICE_NOT_ALLOWED = "service-not-allowed"
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
    CARD_PROCESS_LOST = "card-process-lost"
    CARD_TIMEOUT = "card-timeout"
    # 3 its certificates
    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_UNREADABLE = "certificate-unreadable"
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
    REVOCATION_UNKNOWN = "revocation-unknown"
    # 7 mapping
    NOT_MAPPED = "not-mapped"
    MAPPED_TO_SEVERAL = "mapped-to-several"
    MAPPED_ACCOUNT_UNKNOWN = "mapped-account-unknown"
    MAPPER_FAILED = "mapper-failed"
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
    PROMPT_TIMEOUT = "prompt-timeout"
    CONVERSATION_FAILED = "conversation-failed"
    CONVERSATION_AGAIN = "conversation-again"
    ANSWER_TOO_LONG = "answer-too-long"
    # 10 the proof
    TOKEN_REMOVED = "token-removed"
    TOKEN_CHANGED = "token-changed"
    PIN_WRONG = "pin-wrong"
    PIN_WRONG_NOW_LOCKED = "pin-wrong-now-locked"
    PIN_EXPIRED = "pin-expired"
    LOGIN_FAILED = "login-failed"
    NO_PRIVATE_KEY = "no-private-key"
    MECHANISM_REFUSED = "mechanism-refused"
    SIGNING_FAILED = "signing-failed"
    CARD_PROCESS_LOST_AFTER_PIN = "card-process-lost-after-pin"
    CARD_TIMEOUT_AFTER_PIN = "card-timeout-after-pin"
    # 11 the signature
    SIGNATURE_INVALID = "signature-invalid"


@record
class ReasonRow:
    """What one reason means for the application, the person, the log and the administrator."""

    step: Step
    code: PamCode
    severity: Severity
    text: str
    """What the person reads, if anything. Never more than helps them; details are for the log."""
    hint: str
    """What an administrator can do, shown by `pam-sc explain`."""


_SEE_ADMIN = "ask your administrator"
_REJECTED = "The card was not accepted"

REASONS: dict[Reason, ReasonRow] = {}


def _row(reason: Reason, step: Step, code: PamCode, severity: Severity, text: str, hint: str) -> None:
    REASONS[reason] = ReasonRow(step, code, severity, text, hint)


def _fill() -> None:  # noqa: PLR0915 - this is the table; one row a statement
    code, sev, step = PamCode, Severity, Step
    _row(Reason.CONFIGURATION_UNUSABLE, step.START, code.SERVICE_ERR, sev.ALERT,
         "Card login is not set up correctly", "run: pam-sc check-config")
    _row(Reason.ISOLATION_FAILED, step.START, code.SERVICE_ERR, sev.ALERT,
         "Card login is not set up correctly", "check that the accounts pam_sc and [token] run_as exist")
    _row(Reason.INTERNAL_ERROR, step.START, code.SYSTEM_ERR, sev.CRITICAL,
         "Card login failed", "this is a defect in pam_sc; report the log line")
    _row(Reason.OUT_OF_MEMORY, step.START, code.BUF_ERR, sev.CRITICAL,
         "Card login failed", "the machine is out of memory or file descriptors")

    _row(Reason.SERVICE_NOT_ALLOWED, step.REQUEST, code.AUTH_ERR, sev.NOTICE,
         "Card login is not allowed here", "add the service to [account] services")
    _row(Reason.REMOTE_REFUSED, step.REQUEST, code.AUTHINFO_UNAVAIL, sev.NOTICE,
         "Card login is only possible at this machine itself", 'set [account] remote = "allow" to permit it')
    _row(Reason.ACCOUNT_UNKNOWN, step.REQUEST, code.USER_UNKNOWN, sev.NOTICE,
         _REJECTED, "the account does not exist on this machine: getent passwd NAME")
    _row(Reason.ACCOUNT_LOOKUP_FAILED, step.REQUEST, code.SYSTEM_ERR, sev.ERROR,
         "Card login failed", "the name service gave an error: getent passwd NAME")
    _row(Reason.ACCOUNT_NOT_NAMED, step.REQUEST, code.AUTH_ERR, sev.NOTICE,
         "Please give the account name", "add the service to [account] card_names_user if the card may name the account")
    _row(Reason.ROOT_NOT_ALLOWED, step.REQUEST, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "accounts with uid 0 need [account] allow_root = true")
    _row(Reason.OTHER_ACCOUNT, step.REQUEST, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "a program without privilege can only be granted the account that runs it")

    _row(Reason.CARD_SERVICE_DOWN, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.WARNING,
         "The card service is not running", "start pcscd: systemctl start pcscd.socket")
    _row(Reason.MODULE_UNUSABLE, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.ERROR,
         "Card login is not available", "check [[token.module]] path: pam-sc inspect")
    _row(Reason.NO_READER, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.INFO,
         "No card reader found", "connect a reader; pam-sc inspect lists what the module sees")
    _row(Reason.NO_CARD, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.INFO,
         "No card found", "insert the card; pam-sc inspect lists what the module sees")
    _row(Reason.TOKEN_HIDDEN, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.ERROR,
         "No card found", "the account of [token] run_as may not read the token's files")
    _row(Reason.TOKEN_UNREADABLE, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.WARNING,
         "The card could not be read", "try the card again; pam-sc inspect shows the error")
    _row(Reason.TOKEN_NOT_SELECTED, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.NOTICE,
         "No usable card found", "a token is present, but [token] select does not match it")
    _row(Reason.CARD_PROCESS_LOST, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.ERROR,
         "The card could not be read", "the PKCS#11 module crashed or misbehaved")
    _row(Reason.CARD_TIMEOUT, step.TOKEN, code.AUTHINFO_UNAVAIL, sev.ERROR,
         "The card did not answer in time", "the PKCS#11 module or the reader hangs; raise timeout= if it is only slow")

    _row(Reason.NO_CERTIFICATE, step.CERTIFICATES, code.USER_UNKNOWN, sev.NOTICE,
         "There is no certificate on the card", "the token shows no X.509 certificate without a login")
    _row(Reason.CERTIFICATE_UNREADABLE, step.CERTIFICATES, code.AUTH_ERR, sev.WARNING,
         _REJECTED, "the certificate on the token cannot be parsed")

    _row(Reason.CERTIFICATE_NOT_YET_VALID, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card is not valid yet", "check this machine's clock, else wait")
    _row(Reason.CERTIFICATE_EXPIRED, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card has expired", "the certificate must be renewed")
    _row(Reason.KEY_USAGE_UNSUITABLE, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "keyUsage must contain digitalSignature where it is present")
    _row(Reason.EXTENDED_KEY_USAGE_UNSUITABLE, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "extendedKeyUsage must contain clientAuth, smartcardLogon or anyExtendedKeyUsage where it is present")
    _row(Reason.KEY_UNSUPPORTED, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "the key must be RSA, ECDSA P-256/384/521, Ed25519 or Ed448")
    _row(Reason.KEY_TOO_WEAK, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "RSA keys must have at least 2048 bits")
    _row(Reason.ALGORITHM_TOO_WEAK, step.SUITABLE, code.AUTH_ERR, sev.NOTICE,
         _REJECTED, "the certificate is signed with a broken hash; it must be renewed")

    _row(Reason.UNTRUSTED, step.PATH, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card is not trusted here", "no path to a certificate in [trust] anchors")
    _row(Reason.PATH_INVALID, step.PATH, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card is not trusted here", "the path to the trust anchor breaks a rule of RFC 5280")
    _row(Reason.PATH_TOO_WEAK, step.PATH, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card is not trusted here", "a certificate on the path uses a weak key or a broken hash")

    _row(Reason.CERTIFICATE_REVOKED, step.REVOCATION, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card has been revoked", "the CRL lists this certificate")
    _row(Reason.ISSUER_REVOKED, step.REVOCATION, code.AUTH_ERR, sev.NOTICE,
         "The certificate on the card is not trusted here", "a CA certificate on the path is revoked")
    _row(Reason.REVOCATION_UNKNOWN, step.REVOCATION, code.AUTH_ERR, sev.WARNING,
         "The certificate on the card could not be checked", "put a current CRL into [revocation] crls")

    _row(Reason.NOT_MAPPED, step.MAPPING, code.USER_UNKNOWN, sev.NOTICE,
         "This card does not belong to this account", "no mapper connects the certificate with the account")
    _row(Reason.MAPPED_TO_SEVERAL, step.MAPPING, code.USER_UNKNOWN, sev.NOTICE,
         "Please give the account name", "the certificates map to more than one account")
    _row(Reason.MAPPED_ACCOUNT_UNKNOWN, step.MAPPING, code.USER_UNKNOWN, sev.NOTICE,
         _REJECTED, "the certificate maps to an account that does not exist here")
    _row(Reason.MAPPER_FAILED, step.MAPPING, code.AUTH_ERR, sev.ERROR,
         "Card login failed", "a mapper could not answer; run: pam-sc check-config")

    _row(Reason.PIN_LOCKED, step.PIN, code.MAXTRIES, sev.WARNING,
         "The PIN of the card is locked", "the PIN must be unblocked with the PUK or by the issuer")
    _row(Reason.PIN_LAST_TRY, step.PIN, code.MAXTRIES, sev.WARNING,
         "Only one PIN try is left; it is not used here", "set [pin] allow_last_try = true to permit it")
    _row(Reason.PIN_NOT_SET, step.PIN, code.AUTH_ERR, sev.WARNING,
         "The card has no PIN yet", "the token's user PIN was never set")
    _row(Reason.PIN_NOT_ASKED_FOR, step.PIN, code.AUTH_ERR, sev.WARNING,
         _REJECTED, "the token asks for no PIN, so possession alone would be a login")
    _row(Reason.PINPAD_ONLY, step.PIN, code.AUTH_ERR, sev.WARNING,
         "This reader takes the PIN on its own keypad, which is not supported here", "use a reader without a keypad")
    _row(Reason.PIN_EMPTY, step.PIN, code.AUTH_ERR, sev.NOTICE,
         "An empty PIN is not accepted", "the answer to the prompt was empty")
    _row(Reason.PIN_NOT_GIVEN, step.PIN, code.AUTH_ERR, sev.NOTICE,
         "No PIN was given", "the prompt was cancelled")
    _row(Reason.NO_STACKED_PIN, step.PIN, code.AUTH_ERR, sev.NOTICE,
         "No PIN was given", "use_first_pass is set, but no earlier module asked for a password")
    _row(Reason.PIN_FORM, step.PIN, code.AUTH_ERR, sev.NOTICE,
         "That cannot be the PIN of this card: its length does not fit", "the answer was not sent to the card")
    _row(Reason.PROMPT_TIMEOUT, step.PIN, code.AUTHINFO_UNAVAIL, sev.NOTICE,
         "The time to type the PIN is over", "nobody answered the prompt")
    _row(Reason.CONVERSATION_FAILED, step.PIN, code.CONV_ERR, sev.NOTICE,
         "The PIN could not be asked for", "the application's conversation failed or was interrupted")
    _row(Reason.CONVERSATION_AGAIN, step.PIN, code.INCOMPLETE, sev.DEBUG,
         "", "the application asked to be called again; this is no refusal")
    _row(Reason.ANSWER_TOO_LONG, step.PIN, code.CONV_ERR, sev.NOTICE,
         "The answer is too long", "an answer may have at most 512 bytes")

    _row(Reason.TOKEN_REMOVED, step.PROOF, code.AUTHINFO_UNAVAIL, sev.NOTICE,
         "The card was removed", "the token left between reading and PIN; no PIN was sent")
    _row(Reason.TOKEN_CHANGED, step.PROOF, code.AUTH_ERR, sev.WARNING,
         "The card was exchanged", "the token or its certificate changed between reading and PIN; no PIN was sent")
    _row(Reason.PIN_WRONG, step.PROOF, code.AUTH_ERR, sev.NOTICE,
         "Wrong PIN", "one PIN try of the card was used")
    _row(Reason.PIN_WRONG_NOW_LOCKED, step.PROOF, code.MAXTRIES, sev.WARNING,
         "Wrong PIN; the PIN of the card is now locked", "the PIN must be unblocked with the PUK or by the issuer")
    _row(Reason.PIN_EXPIRED, step.PROOF, code.AUTH_ERR, sev.NOTICE,
         "The PIN of the card has expired", "the PIN must be changed")
    _row(Reason.LOGIN_FAILED, step.PROOF, code.AUTH_ERR, sev.WARNING,
         "The card did not accept the login", "C_Login failed for another reason than a wrong PIN")
    _row(Reason.NO_PRIVATE_KEY, step.PROOF, code.AUTH_ERR, sev.NOTICE,
         "The card cannot prove that it is yours", "no private key on the token belongs to the certificate")
    _row(Reason.MECHANISM_REFUSED, step.PROOF, code.AUTH_ERR, sev.WARNING,
         "The card cannot prove that it is yours", "the token supports none of the signature mechanisms for this key")
    _row(Reason.SIGNING_FAILED, step.PROOF, code.AUTH_ERR, sev.WARNING,
         "The card cannot prove that it is yours", "the token failed to sign")
    _row(Reason.CARD_PROCESS_LOST_AFTER_PIN, step.PROOF, code.AUTH_ERR, sev.ERROR,
         "The card failed", "the PKCS#11 module crashed or misbehaved after it had the PIN")
    _row(Reason.CARD_TIMEOUT_AFTER_PIN, step.PROOF, code.AUTH_ERR, sev.ERROR,
         "The card did not answer in time", "the PKCS#11 module or the reader hangs after it had the PIN")

    _row(Reason.SIGNATURE_INVALID, step.SIGNATURE, code.AUTH_ERR, sev.ALERT,
         "The card cannot prove that it is yours", "the signature does not verify under the certificate's key")


_fill()
