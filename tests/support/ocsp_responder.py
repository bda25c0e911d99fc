# SPDX-License-Identifier: LGPL-2.1-or-later
"""An OCSP responder on 127.0.0.1: `openssl ocsp` behind a small HTTP server, and every bad answer there is.

    with OcspResponder(authority, tmp_path / "ocsp") as responder:
        leaf = authority.issue(ocsp=[responder.url])
        responder.revoke(leaf, "certificateHold")
        responder.answer = Answer.TRY_LATER     # from now on
        responder.serve("/ca.crl", authority.crl(pem=False), "application/pkix-crl")
        ...
        assert responder.asked == 1

Every certificate of the authority is good unless `revoke` or `forget` was called; an authority has one responder, so a
path of three certificates takes two. It serves files by GET on the same port, counts and keeps all requests, and ends
with the `with`. Nothing else can reach it. For tests only.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.x509 import ocsp

from tests.support.ocsp_answer import (
    HOUR,
    INTERNAL_ERROR,
    NO_CHECK,
    OCSP_SIGNING,
    TRY_LATER,
    UNAUTHORIZED,
    Response,
    Single,
    ocsp_failure,
    ocsp_response,
)
from tests.support.ocsp_server import Answer, Asked, Served, Server
from tests.support.pki import DAY, CertificateAuthority, Issued, now

REASONS: Mapping[str, int] = {
    "unspecified": 0, "keyCompromise": 1, "CACompromise": 2, "affiliationChanged": 3, "superseded": 4,
    "cessationOfOperation": 5, "certificateHold": 6,
}
"""CRLReason by the names that openssl's index knows."""


__all__ = ["REASONS", "Answer", "Asked", "OcspResponder"]

_OPENSSL = (Answer.DELEGATED, Answer.CA_SIGNED, Answer.BAD_SIGNATURE)


class OcspResponder:
    """Answers for one authority as `answer` says; see the head of this file."""

    def __init__(self, authority: CertificateAuthority, folder: Path, answer: Answer = Answer.DELEGATED) -> None:
        """Bind a free port (so that `url` can go into certificates); it answers from `with` on.

        `folder` is made; openssl's index, certificates and keys lie in it.
        """
        self.authority = authority
        self.answer = answer
        self.requests: list[Asked] = []
        self.failures: list[BaseException] = []
        """What broke in the responder itself: leaving the `with` raises the first of them."""
        self.closing = threading.Event()
        self.misbehaving: dict[str, Answer] = {}
        self.delegate = self._responder(NO_CHECK)
        self.checked_delegate, self.revoked_delegate = self._responder(), self._responder()
        self._stranger = CertificateAuthority(authority.name)
        self._stranger_delegate = self._stranger.issue(
            common_name="Responder", extended_key_usage=(OCSP_SIGNING,), extensions=(NO_CHECK,)
        )
        self._revoked: dict[int, str] = {self.revoked_delegate.serial: "keyCompromise"}
        self._forgotten: set[int] = set()
        self._served: dict[str, Served] = {}
        self._changed = threading.Condition()
        self._openssl = threading.Lock()
        self._folder = folder
        self._write_keys()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> OcspResponder:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop, free the port, let go of every client; raise what broke in the responder itself."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        if self.failures:
            raise self.failures[0]

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where it answers OCSP requests (POST); the base of what is served too."""
        return f"http://127.0.0.1:{self.port}/"

    def url_of(self, path: str) -> str:
        """The URL of something that is served under `path`."""
        return self.url + path.lstrip("/")

    def revoke(self, certificate: Issued | CertificateAuthority | int, reason: str = "keyCompromise") -> None:
        """From now on say that this certificate (or serial number) is revoked; `reason` is a name in REASONS."""
        assert reason in REASONS
        self._revoked[_serial(certificate)] = reason

    def reinstate(self, certificate: Issued | CertificateAuthority | int) -> None:
        """From now on say that it is good (again)."""
        self._revoked.pop(_serial(certificate), None)
        self._forgotten.discard(_serial(certificate))

    def forget(self, certificate: Issued | CertificateAuthority | int) -> None:
        """From now on say that it is unknown."""
        self._forgotten.add(_serial(certificate))

    def serve(
        self, path: str, body: bytes, content_type: str = "application/octet-stream", **headers: str
    ) -> str:
        """Serve these bytes by GET under `path`, and return the URL; `ETag="..."` answers If-None-Match with 304."""
        self._served["/" + path.lstrip("/")] = Served(body, content_type, headers)
        return self.url_of(path)

    def misbehave(self, path: str, answer: Answer) -> str:
        """From now on answer a GET of `path` as one of HUGE, ENDLESS, SLOW, SILENT, HANG_UP, REDIRECT_..., SERVER_ERROR.

        Return the URL. A CRL server that hangs, for example.
        """
        self.misbehaving["/" + path.lstrip("/")] = answer
        return self.url_of(path)

    @property
    def asked(self) -> int:
        """How many OCSP requests came in."""
        return sum(each.method == "POST" for each in self.requests)

    def fetched(self, path: str) -> int:
        """How often something was asked for by GET."""
        return sum(each.method == "GET" and each.path == "/" + path.lstrip("/") for each in self.requests)

    def wait_for_requests(self, count: int, timeout_s: float = 20) -> None:
        """Return when this many requests of any kind have come in in all; AssertionError if they do not in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, timeout_s), self.requests

    def respond(self, request: bytes, answer: Answer) -> bytes:
        """Answer a DER request, without HTTP. Not for the answers that are no bytes of a response."""
        refusals = {
            Answer.TRY_LATER: TRY_LATER, Answer.UNAUTHORIZED: UNAUTHORIZED, Answer.INTERNAL_ERROR: INTERNAL_ERROR
        }
        if answer in refusals:
            return ocsp_failure(refusals[answer])
        if answer is Answer.GARBAGE:
            return b"this is no OCSP response" * 10
        if answer is Answer.EMPTY:
            return b""
        read = ocsp.load_der_ocsp_request(request)
        if answer in (*_OPENSSL, Answer.WRONG_CONTENT_TYPE):
            with self._openssl:
                return self._ask_openssl(request, read.serial_number, answer)
        return self._written(read, answer)

    def note(self, asked: Asked) -> None:
        """Remember a request."""
        with self._changed:
            self.requests.append(asked)
            self._changed.notify_all()

    def find(self, path: str) -> Served | None:
        """What is served under a path."""
        return self._served.get(path)

    def _responder(self, *extensions: object) -> Issued:
        return self.authority.issue(
            common_name="Responder", extended_key_usage=(OCSP_SIGNING,), extensions=extensions
        )

    def _written(self, request: ocsp.OCSPRequest, answer: Answer) -> bytes:
        serial = request.serial_number
        about: dict[str, object] = {
            "certificate": serial, "issuer": self.authority, "hash_name": request.hash_algorithm.name,
            "status": "unknown" if serial in self._forgotten else "revoked" if serial in self._revoked else "good",
            "reason": REASONS[self._revoked[serial]] if serial in self._revoked else None,
            **_OTHER_SINGLE.get(answer, lambda _responder: {})(self),
        }
        nonce = next((each.value.nonce for each in request.extensions), None)
        whole: dict[str, object] = {
            "signer": self.delegate, "nonce": nonce,
            **_OTHER_RESPONSE.get(answer, lambda _responder: {})(self),
        }
        return ocsp_response(Response(singles=[Single(**about)], **whole))  # type: ignore[arg-type]

    def _write_keys(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "ca.pem").write_bytes(self.authority.pem)
        authority = Issued(self.authority.private_key, self.authority.der)
        for name, issued in (("delegate", self.delegate), ("authority", authority)):
            (self._folder / f"{name}.pem").write_bytes(issued.pem)
            (self._folder / f"{name}.key").write_bytes(issued.key_pem)
        (self._folder / "index.txt.attr").write_text("unique_subject = no\n")

    def _ask_openssl(self, request: bytes, serial: int, answer: Answer) -> bytes:
        """Let `openssl ocsp` answer, with an index of what is revoked and, where nothing else is known, this one."""
        lines = [_index_line(each, reason) for each, reason in self._revoked.items() if each not in self._forgotten]
        if serial not in self._forgotten and serial not in self._revoked:
            lines.append(_index_line(serial, None))
        (self._folder / "index.txt").write_text("".join(lines))
        (self._folder / "request.der").write_bytes(request)
        signer = "authority" if answer is Answer.CA_SIGNED else "delegate"
        subprocess.run(
            ["openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", f"{signer}.pem", "-rkey",
             f"{signer}.key", "-reqin", "request.der", "-respout", "response.der", "-ndays", "1",
             *(["-badsig"] if answer is Answer.BAD_SIGNATURE else [])],
            cwd=self._folder, check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        return (self._folder / "response.der").read_bytes()


_OTHER_SINGLE = {
    Answer.STALE: lambda _: {"this_update": now() - 2 * DAY, "next_update": now() - DAY},
    Answer.FUTURE: lambda _: {"this_update": now() + DAY, "next_update": now() + 2 * DAY},
    Answer.UNDATED: lambda _: {"this_update": now(), "next_update": None},
    Answer.UNKNOWN: lambda _: {"status": "unknown"},
    Answer.WRONG_ISSUER: lambda responder: {"issuer": responder._stranger},  # noqa: SLF001 - one module
}
_OTHER_RESPONSE = {
    Answer.STALE: lambda _: {"produced_at": now() - 2 * DAY},
    Answer.WRONG_SIGNER: lambda responder: {"signer": responder._stranger_delegate},  # noqa: SLF001
    Answer.REVOKED_SIGNER: lambda responder: {"signer": responder.revoked_delegate},
    Answer.CHECKED_SIGNER: lambda responder: {"signer": responder.checked_delegate},
    Answer.REPLAYED: lambda _: {"nonce": b"a nonce of an earlier question.."},
    Answer.NO_NONCE: lambda _: {"nonce": None},
}


def _serial(certificate: Issued | CertificateAuthority | int) -> int:
    return certificate if isinstance(certificate, int) else certificate.certificate.serial_number


def _index_line(serial: int, reason: str | None) -> str:
    """A line of the index of `openssl ca`: status, expiry, revocation, serial, file, subject."""
    revoked = f"{(now() - HOUR):%y%m%d%H%M%SZ},{reason}" if reason is not None else ""
    digits = f"{serial:X}"
    digits = digits if len(digits) % 2 == 0 else "0" + digits
    return "\t".join(["R" if revoked else "V", f"{(now() + 300 * DAY):%y%m%d%H%M%SZ}", revoked, digits, "unknown",
                      "/CN=somebody"]) + "\n"
