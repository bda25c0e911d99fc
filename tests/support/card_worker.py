# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card process for tests without the C worker: the same Python code, started as a script, without its sandbox.

`started` gives a client and a way to type a PIN; it ends with the process dead, whatever a test did to it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import pam_sc
from pam_sc.card.client import (
    Candidate,
    CardClient,
    ModuleSetup,
    RunAs,
    SignOrder,
    StartedCardProcess,
    start_card_process,
)
from pam_sc.decision.card_report import CardReport, CertificateReport, TokenReport
from pam_sc.decision.challenge import SigningChoice
from pam_sc.decision.possession import NotSigned, Signed
from tests.support.soft_token import SOFTHSM, SoftToken

DEADLINE = 20.0
"""Seconds for a step that is to succeed; a test that waits for a deadline gives its own, shorter one."""

_WORKER = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
from pam_sc.card.process import run

def confine(uid, gid, groups, allow):
    if "fail" in allow:
        raise OSError(1, "seccomp: Operation not permitted")
    if uid != -1:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

os._exit(run(3, 4, confine))
"""


def write_worker(folder: Path) -> str:
    """Write a program that takes the place of pam_sc_worker and return its path."""
    path = folder / "worker"
    path.write_text(_WORKER.format(python=sys.executable, root=str(Path(pam_sc.__file__).resolve().parents[1])))
    path.chmod(0o755)
    return str(path)


def build_hostile_module(folder: Path) -> str:
    """Compile the hostile module and return its path."""
    source, built = Path(__file__).with_name("hostile_module.c"), folder / "hostile_module.so"
    subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-O1", "-shared", "-fPIC",
                    "-o", str(built), str(source), "-ldl"], check=True)
    return str(built)


def soon(seconds: float = DEADLINE) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def softhsm(token: SoftToken) -> ModuleSetup:
    """SoftHSM with this token."""
    return ModuleSetup(SOFTHSM, token.environment)


@dataclass(frozen=True, slots=True)
class Card:
    """A card process that has been set up."""

    process: StartedCardProcess

    @property
    def client(self) -> CardClient:
        """The client under test."""
        return self.process.client

    def report(self, seconds: float = DEADLINE) -> CardReport:
        """All that the modules show."""
        return self.client.report(soon(seconds))

    def sign(self, order: SignOrder, pin: bytes, seconds: float = DEADLINE) -> Signed | NotSigned:
        """Type a PIN and carry out one order."""
        self.type(pin)
        return self.client.sign(order, soon(seconds))

    def type(self, *secrets: bytes) -> None:
        """Put secrets into the channel, in this order, for the next order that needs them."""
        for secret in secrets:
            self.process.send_pin(secret)


@contextlib.contextmanager
def started(worker: str, modules: Sequence[ModuleSetup], run_as: RunAs | None = None) -> Iterator[Card]:
    """A card process with these modules."""
    with start_card_process(worker) as process:
        process.client.set_up(modules, run_as, soon())
        yield Card(process)


def hostile(module: str, token: SoftToken, faults: str, log: Path, **more: str) -> ModuleSetup:
    """The hostile module with these faults around this token."""
    wrapped = {"HOSTILE": faults, "HOSTILE_REAL": SOFTHSM, "HOSTILE_LOG": str(log)}
    return ModuleSetup(module, {**token.environment, **wrapped, **more})


def calls(log: Path, name: str) -> list[str]:
    """The lines of the hostile module's log about one function."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.split()[0] == name]


def the_token(report: CardReport) -> TokenReport:
    """The only token of a report."""
    (found,) = report.tokens()
    return found[2]


def certificate_called(token: TokenReport, label: str) -> CertificateReport:
    """The certificate with this label."""
    (found,) = (certificate for certificate in token.certificates if certificate.label == label)
    return found


def candidate_for(certificate: CertificateReport, *choices: SigningChoice, context_login: bool = True) -> Candidate:
    """A certificate whose key is to sign."""
    key = x509.load_der_x509_certificate(certificate.der).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Candidate(certificate=certificate, public_key_der=der, choices=choices, context_login=context_login)


def order_for(token: TokenReport, certificate: CertificateReport, *choices: SigningChoice,
              context_login: bool = True) -> SignOrder:
    """An order to sign with the key of one certificate."""
    return SignOrder(token=token, candidates=(candidate_for(certificate, *choices, context_login=context_login),))
