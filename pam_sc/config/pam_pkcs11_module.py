# SPDX-License-Identifier: LGPL-2.1-or-later
"""The block `pkcs11_module` that is used: which PKCS#11 module and token, whom to trust, and what `cert_policy` asks for.

A path is always validated and the card always has to sign: no word of `cert_policy` switches that off.
"""

from __future__ import annotations

from collections.abc import Callable

from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import OurKeys, Section, listed, shown, take_our_keys

DEFAULT_FOLDER = "/etc/pam_pkcs11"
_MODULE = ("token", "module", 0)
_POLICIES = ("none", "ca", "signature", "no_signature", "crl_online", "crl_offline", "crl_auto", "ocsp_on")
_REVOCATION = frozenset({"crl_online", "crl_offline", "crl_auto", "ocsp_on"})
_NETWORK = frozenset({"crl_online", "crl_auto", "ocsp_on"})
_PREFIX = "file://"

OUR_KEYS: OurKeys = {
    "allow": ((*_MODULE, "allow"), "words"),
    "intermediates": (("trust", "intermediates"), "word"),
    "algorithms": (("trust", "algorithms"), "word"),
    "strict": (("trust", "strict"), "flag"),
    "partial_paths": (("trust", "partial_paths"), "flag"),
    "policies": (("trust", "policies"), "words"),
    "store": (("revocation", "store"), "word"),
    "mode": (("revocation", "mode"), "word"),
    "fetch": (("revocation", "fetch"), "word"),
    "ocsp_responder": (("revocation", "ocsp_responder"), "word"),
    "ocsp_nonce": (("revocation", "ocsp_nonce"), "word"),
    "sources": (("revocation", "sources"), "words"),
    "timeout": (("revocation", "timeout"), "number"),
    "max_size": (("revocation", "max_size"), "word"),
    "clock_skew": (("revocation", "clock_skew"), "number"),
    "proxy": (("revocation", "proxy"), "word"),
    "loopback": (("revocation", "loopback"), "word"),
}


def read_module(section: Section, exists: Callable[[str], bool]) -> None:
    """Put what the block says into the tree."""
    _read_library(section)
    _read_slot(section)
    anchors = _path(section, "ca_dir") or f"{DEFAULT_FOLDER}/cacerts"
    for key in ("ca_dir", "crl_dir"):
        if section.word(key) == "":
            section.note(NoteKind.ERROR, key, "is empty, expected the path of a folder or a file")
    section.put(("trust", "anchors"), anchors, "ca_dir")
    policies = _read_policies(section)
    _read_crls(section, policies, anchors, exists)
    _translate_policies(section, policies)
    if section.word("token_type"):
        section.put(("prompt", "token_type"), section.word("token_type"), "token_type")
    section.dead("nobody reads it", "description", "crl_policy")
    section.dead("the module runs in a process of its own, which has one thread", "support_threads")
    take_our_keys(section, OUR_KEYS)
    section.finish()


# ---------------------------------------------------------------- the library and the slot


def _read_library(section: Section) -> None:
    path = section.word("module")
    if section.has("nss_dir"):
        section.dead("NSS databases are not read: name the PKCS#11 module, and its CAs in ca_dir", "nss_dir")
    if path is None and not section.has("module"):
        path = f"{DEFAULT_FOLDER}/pkcs11_module.so"
        section.note(NoteKind.DIFFERENT, "module", f"is not set, so {path} is used")
    if path is not None and not path.startswith("/"):
        section.note(NoteKind.ERROR, "module", f"found {shown(path)}, expected the absolute path of a PKCS#11 module")
    elif path is not None:
        section.put((*_MODULE, "path"), path, "module")
    _read_environment(section)


def _read_environment(section: Section) -> None:
    """A key of ours: `environment = "NAME=value", ...`, the only variables that the module sees."""
    for each in section.words("environment") or ():
        name, equals, value = each.partition("=")
        if equals:
            section.put((*_MODULE, "environment", name), value, "environment")
        else:
            section.note(NoteKind.ERROR, "environment", 'expected "NAME=value"')


def _read_slot(section: Section) -> None:
    prefix = section.word("slot_description")
    number = section.number("slot_num")
    any_token = prefix is None or prefix.lower() in ("", "none")
    if number is not None and number > 0 and not any_token:
        section.note(NoteKind.ERROR, "slot_num", "both slot_num and slot_description are set, expected one of them")
    elif not any_token:
        section.put(("token", "select"), {"slot_description_prefix": prefix}, "slot_description")
    elif number is not None and number > 0:
        section.put(("token", "select"), {"slot_number": number}, "slot_num")
    elif number is not None and number < -1:
        section.note(NoteKind.ERROR, "slot_num", f"found {number}, expected 0 or the number of a slot")
    else:
        for key, value in (("slot_description", prefix), ("slot_num", number)):
            if value is not None:
                section.note(NoteKind.DIFFERENT, key, "every token counts; pam_pkcs11 looks at the first alone")


# ---------------------------------------------------------------- whom to trust


def _path(section: Section, key: str) -> str | None:
    """A path, written as such or as a file URL; None if it is not there or empty."""
    value = section.word(key)
    if not value:
        return None
    if value.startswith(_PREFIX):
        return value.removeprefix(_PREFIX)
    if "://" in value:
        section.note(NoteKind.ERROR, key, f"found {shown(value)}, expected the path of a folder or a file")
        return None
    return value


def _read_crls(section: Section, policies: frozenset[str], anchors: str, exists: Callable[[str], bool]) -> None:
    path = _path(section, "crl_dir") or f"{DEFAULT_FOLDER}/crls"
    if "crl_offline" not in policies and not exists(path):
        if section.has("crl_dir"):
            section.note(NoteKind.DIFFERENT, "crl_dir", "there is nothing of this name, so no CRL is at hand")
        return
    section.put(("revocation", "crls"), path, "crl_dir")
    if path == anchors:
        section.note(NoteKind.DIFFERENT, "crl_dir", "is the place of the CAs too: each login logs the files of the other"
                     " kind as problems; use two folders")


def _read_policies(section: Section) -> frozenset[str]:
    written = [word for word in section.words("cert_policy") or () if word]
    words = [word if word.lower() == "none" else word.lower() for word in written]  # "NONE" is none of theirs
    for word in words:
        if word not in _POLICIES:
            hint = "; without the quotes it is a list of words" if "," in word else ""
            section.note(NoteKind.ERROR, "cert_policy", f"found {shown(word)}, expected words of {listed(_POLICIES)}{hint}")
    if "none" in words:
        section.note(NoteKind.UNSAFE, "cert_policy", '"none" switches off nothing here: the path is validated, and the card'
                     " has to sign; there is no key to change that")
        return frozenset({"none"})
    return frozenset(words)


def _translate_policies(section: Section, policies: frozenset[str]) -> None:
    asked = policies & _REVOCATION
    if asked and "ca" not in policies:
        words = listed(sorted(asked))
        section.note(NoteKind.ERROR, "cert_policy", f'{words} without "ca": whether a certificate is revoked only the CAs'
                     f" in ca_dir can say; write cert_policy = ca, {words};")
    elif "ca" not in policies and "none" not in policies:
        section.note(NoteKind.UNSAFE, "cert_policy", '"ca" is missing, so pam_pkcs11 believes every certificate; here the'
                     " path to a CA in ca_dir is always validated; there is no key to change that")
    if "no_signature" in policies:
        section.note(NoteKind.UNSAFE, "cert_policy", '"no_signature" is not honoured: the card always has to prove that it'
                     " holds the key; there is no key to change that")
    if not asked:
        section.put(("revocation", "mode"), "prefer", "cert_policy")
        if not section.word("mode"):
            section.note(NoteKind.DIFFERENT, "cert_policy", "no word of it asks for revocation, at which pam_pkcs11 then does"
                         " not look; here what is at hand still counts, and what is unknown is accepted and logged")
        return
    _require_revocation(section, asked)


def _require_revocation(section: Section, asked: frozenset[str]) -> None:
    section.put(("revocation", "mode"), "require", "cert_policy")
    section.put(("revocation", "ocsp"), "on" if "ocsp_on" in asked else "off", "cert_policy")
    section.put(("revocation", "order"), ["ocsp", "crl"] if "ocsp_on" in asked else ["crl"], "cert_policy")
    if asked & _NETWORK:
        section.put(("revocation", "fetch"), "login", "cert_policy")
    mode, fetch = section.word("mode") or "require", section.word("fetch") or ("login" if asked & _NETWORK else "off")
    if mode != "require":
        section.note(NoteKind.UNSAFE, "mode", f"is {shown(mode)}, so that less is demanded than {listed(sorted(asked))} in"
                     " cert_policy says")
        return
    network = "a login fetches what the store lacks" if fetch == "login" else "a login uses no network"
    section.note(NoteKind.DIFFERENT, "cert_policy", f"{listed(sorted(asked))}: the status of every certificate on the path"
                 f" must be known, not of the card's alone; {network}"
                 + ("; pam_pkcs11 with OpenSSL asks no OCSP responder" if "ocsp_on" in asked else ""))
