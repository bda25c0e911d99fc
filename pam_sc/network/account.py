# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whom the network process becomes where it starts as root: the account of the verifier, never root itself."""

from __future__ import annotations

NETWORK_ACCOUNT = "pam_sc"
