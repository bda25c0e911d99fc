# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every exception of a library is a sentence of ours, and no sentence quotes a server."""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest

from pam_sc.errors import TransferError
from pam_sc.network.problems import sentence

EVIL = "evil words"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransferError("ours"), "ours"),
        (TimeoutError(EVIL), "the time for it was over"),
        (ConnectionRefusedError(111, EVIL), "its server refuses connections"),
        (ConnectionResetError(104, EVIL), "its server closed the connection early"),
        (BrokenPipeError(32, EVIL), "its server closed the connection early"),
        (http.client.RemoteDisconnected(EVIL), "its server closed the connection early"),
        (http.client.IncompleteRead(EVIL.encode()), "its server closed the connection early"),
        (ssl.SSLEOFError(8, EVIL), "its server closed the connection early"),
        (http.client.BadStatusLine(EVIL), "its server's answer is not HTTP"),
        (http.client.LineTooLong(EVIL), "its server's answer is not HTTP"),
        (OSError(113, "No route to host"), "its server cannot be reached: No route to host"),
        (socket.herror(), "its server cannot be reached: herror"),
        (ValueError(EVIL), "its server's answer cannot be read: ValueError"),
        (MemoryError(EVIL), "its server's answer cannot be read: MemoryError"),
    ],
)
def test_sentence_of_an_exception(error: Exception, expected: str) -> None:
    assert sentence(error) == expected


def kinds(of: type[Exception]) -> list[type[Exception]]:
    return [of, *(below for one in of.__subclasses__() for below in kinds(one))]


@pytest.mark.parametrize("kind", kinds(http.client.HTTPException))
def test_every_exception_of_the_http_client_has_a_sentence_without_its_words(kind: type[Exception]) -> None:
    assert EVIL not in sentence(kind(EVIL))
