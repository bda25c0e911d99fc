# SPDX-License-Identifier: LGPL-2.1-or-later
"""Resetting a card through PC/SC, for modules that leave it verified: with pyscard, and where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import namespace
from tests.support.pcsc_client import PcscClient
from tests.support.pcscd import READER, SECOND_READER, Pcscd
from tests.support.piv_card import PivApplet, VirtualCard
from tests.support.pki import CertificateAuthority

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not namespace.is_available(), reason="needs root and the right to make namespaces"),
]

SELECT = bytes.fromhex("00a4040009a00000030800001000")
VERIFY = bytes.fromhex("0020008008") + b"123456\xff\xff"
_RESET = """
import sys
if sys.argv[2] == "without":
    sys.modules["smartcard"] = None  # as where pyscard is not installed: the import is an ImportError
from pam_sc.card.ending import reset_card
try:
    print(reset_card(sys.argv[1]))
except ImportError as error:
    print("ImportError")
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Pcscd]:
    with Pcscd(tmp_path / "run", tmp_path / "pcscd") as made:
        yield made


@pytest.fixture
def verified(daemon: Pcscd) -> VirtualCard:
    """A card that somebody has verified and let go of as it was."""
    card = daemon.card(PivApplet({0x9A: CertificateAuthority().issue(key="p256")}))
    card.insert()
    daemon.await_insertion()
    client = PcscClient(READER, daemon.environment)
    assert [client.send(SELECT), client.send(VERIFY)] == ["9000", "9000"]
    client.close()
    assert card.applet.pin_verified
    return card


def reset(daemon: Pcscd, reader: str, pyscard: str = "with") -> str:
    done = subprocess.run([sys.executable, "-P", "-c", _RESET, reader, pyscard], env=dict(daemon.environment), check=True,
                          capture_output=True, text=True)
    return done.stdout.strip()


def test_a_reset_ends_the_verification(daemon: Pcscd, verified: VirtualCard) -> None:
    assert reset(daemon, READER) == "True"
    assert not verified.applet.pin_verified


@pytest.mark.parametrize("reader", [SECOND_READER, "Virtual PCD 00", "", "A slot of something else"])
def test_another_reader_is_not_reset(daemon: Pcscd, verified: VirtualCard, reader: str) -> None:
    assert reset(daemon, reader) == "False"
    assert verified.applet.pin_verified


def test_without_the_service_nothing_is_reset_and_nothing_fails(daemon: Pcscd) -> None:
    daemon.stop()
    assert reset(daemon, READER) == "False"


def test_without_pyscard_the_caller_is_told(daemon: Pcscd, verified: VirtualCard) -> None:
    assert reset(daemon, READER, "without") == "ImportError"
    assert verified.applet.pin_verified
