# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_sc: smart-card login for Linux. Start with docs/design.md and pam_sc/decision/decide.py."""
