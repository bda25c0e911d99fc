# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules that match certificates and say whom they belong to, in the language of SSSD's certmap."""
