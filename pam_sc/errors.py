# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every exception that pam_sc raises on purpose.

    PamScError
    |-- ConfigError          the configuration is missing, unsafe or wrong; says file, key, found, expected
    |-- ProtocolError        a peer process sent something the protocol does not allow
    |   `-- ChannelClosed    the peer closed its end where a frame was due
    |-- DeadlineExceeded     the time that was given is over
    |-- CardProcessLost      the card process died or talked nonsense; never says what was on the card
    |   `-- CardIsolationFailed  a process could not give up privilege or enter its filter
    |-- OwnershipError       a file or a folder on the way to it could be changed by somebody who is not trusted
    |-- TransferError        something was not fetched, and why; stays inside the network process
    |-- TrustError           anchors, intermediates or CRLs cannot be used as configured
    |-- StoreError           the revocation store is damaged, cannot be written or is in use; never "not listed"
    |-- MapperError          a mapper could not answer (which is not the same as "does not map")
    `-- MonitorError         logind, a session bus or a program did not do what the monitor asked for

A refusal of a login is not an exception: it is `pam_sc.decision.verdict.Denied`.
Messages read "<what could not be done>: <cause>", lowercase, without a full stop, and never hold a PIN.
"""

from __future__ import annotations


class PamScError(Exception):
    """Base of every error that pam_sc raises on purpose."""


class ConfigError(PamScError):
    """The configuration is missing, unsafe or wrong. The message says file, key, what was found and expected."""


class ProtocolError(PamScError):
    """A peer process sent something that the protocol does not allow."""


class ChannelClosed(ProtocolError):
    """The peer closed its end where a frame was due."""


class DeadlineExceeded(PamScError):
    """The time that was given for an answer is over."""

    pin_sent = True
    """Where the card process had to answer: whether the PIN went to the token. True unless it is known that it did not."""


class CardProcessLost(PamScError):
    """The card process died, or said something the protocol does not allow."""

    pin_sent = True
    """Whether the PIN went to the token. True unless it is known that it did not."""


class CardIsolationFailed(CardProcessLost):
    """A process could not give up its privilege, or could not enter its filter."""


class OwnershipError(PamScError):
    """A file cannot be believed: missing, of the wrong kind or size, or changeable by somebody who is not trusted."""


class TransferError(PamScError):
    """Something was not fetched. The message is for people and never quotes what a server sent."""


class TrustError(PamScError):
    """Anchors, intermediates or revocation data cannot be used as configured."""


class StoreError(PamScError):
    """The revocation store, or one file of it, cannot be read or written. What it would have said is unknown."""


class MapperError(PamScError):
    """A mapper could not answer. This is not the same as "the certificate does not map"."""


class MonitorError(PamScError):
    """Logind, a session bus or a program did not do what the monitor asked for, in the time it had."""
