# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration: model, file format, and what is questionable about one."""
