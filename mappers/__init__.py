# SPDX-License-Identifier: LGPL-2.1-or-later
"""The built-in mappers, one file each. The contract is in pam_sc/mapping.py."""

if __name__ != "pam_sc.mappers":
    raise ImportError("import the mappers as pam_sc.mappers: under another name each class would exist twice")
