# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line, `pam-sc`: one file a command. Imported by no login."""
