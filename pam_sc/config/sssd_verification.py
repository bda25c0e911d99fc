# SPDX-License-Identifier: LGPL-2.1-or-later
"""Translates SSSD's certificate_verification, a list of words about OCSP, CRLs and paths, for sssd.py. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pam_sc.config import values
from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Notes, shown
from pam_sc.config.schema import UnacceptableError


class Verification:
    """The words of certificate_verification, each in a method of its own name."""

    def __init__(self, written: str, line: int, notes: Notes) -> None:
        self._notes = notes
        self._line = line
        self._words = [word.strip() for word in written.split(",") if word.strip()]
        self._names = {word.partition("=")[0].strip() for word in self._words}
        self._crl_files: list[str] = []

    def read(self) -> None:
        """Put what the words say into the tree of the notes."""
        for word in self._words:
            name, equals, value = word.partition("=")
            read = WORDS.get(name.strip())
            if read is None or bool(equals) != (name.strip() in _WITH_VALUE):
                self._note(NoteKind.ERROR, f"found {shown(word)}, which SSSD passes over, so that what it should demand is not"
                           f" demanded; expected words of {', '.join(WORDS)}")
            else:
                read(self, value.strip())
        self._read_status()

    def _note(self, kind: NoteKind, text: str) -> None:
        self._notes.add(kind, self._line, "certificate_verification", text)

    def _put(self, key: str, value: object) -> None:
        self._notes.put(("revocation", key), value, self._line)

    def _read_status(self) -> None:
        """SSSD asks OCSP responders at each login; with CRL files it wants one for every CA on the path."""
        asks = "no_ocsp" not in self._names
        if self._crl_files:
            self._put("mode", "require")
            self._put("crls", self._crl_files[0])
        if asks:
            self._put("fetch", "login")
        elif not self._crl_files:
            self._note(NoteKind.UNSAFE, "no_ocsp without crl_file: SSSD accepts revoked cards; here CRLs count, and pam-sc"
                       ' refresh fetches them; to insist: [revocation] mode = "off"')
        if len(self._crl_files) > 1:
            self._note(NoteKind.DIFFERENT, f"only {self._crl_files[0]} is named here; put the {len(self._crl_files)} CRL files"
                       " into one folder and name that: until then cards of the other CAs are refused")

    def _no_verification(self, _value: str) -> None:
        self._note(NoteKind.UNSAFE, "no_verification is not honoured: the path is always validated; there is no key to change"
                   " that")

    def _partial_chain(self, _value: str) -> None:
        self._notes.put(("trust", "partial_paths"), True, self._line)

    def _no_ocsp(self, _value: str) -> None:
        self._put("ocsp", "off")
        self._put("order", ["crl"])

    def _soft(self, _value: str) -> None:
        self._note(NoteKind.UNSAFE, "soft_ocsp and soft_crl are not honoured: a card is refused where its status cannot be found"
                   ' out; to insist: [revocation] mode = "prefer"')

    def _crl_file(self, value: str) -> None:
        self._crl_files.append(value)

    def _responder(self, value: str) -> None:
        try:
            self._put("ocsp_responder", values.url("http", "https")(value))
        except UnacceptableError as error:
            self._note(NoteKind.ERROR, f"ocsp_default_responder: {error}")

    def _dead(self, _value: str) -> None:
        self._note(NoteKind.DEAD, "ocsp_default_responder_signing_cert is read by SSSD and never used; here a responder's"
                   ' certificate is named by [revocation] ocsp_responder = { url = "...", certificate = "..." }')

    def _digest(self, _value: str) -> None:
        self._note(NoteKind.DIFFERENT, "ocsp_dgst has no meaning here: questions are in the form that every responder knows")


WORDS: Mapping[str, Callable[[Verification, str], None]] = {
    "no_verification": Verification._no_verification,  # noqa: SLF001 - its own table
    "partial_chain": Verification._partial_chain,  # noqa: SLF001
    "no_ocsp": Verification._no_ocsp,  # noqa: SLF001
    "soft_ocsp": Verification._soft,  # noqa: SLF001
    "soft_crl": Verification._soft,  # noqa: SLF001
    "crl_file": Verification._crl_file,  # noqa: SLF001
    "ocsp_default_responder": Verification._responder,  # noqa: SLF001
    "ocsp_default_responder_signing_cert": Verification._dead,  # noqa: SLF001
    "ocsp_dgst": Verification._digest,  # noqa: SLF001
}
_WITH_VALUE = frozenset({"crl_file", "ocsp_default_responder", "ocsp_default_responder_signing_cert", "ocsp_dgst"})
