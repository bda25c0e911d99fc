# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one thing that gnome-shell asks of GDM before it can lock: that it is there, and its version.

Argument: the address of the bus. It lets nobody in and opens no screen: every other question is answered with an error.
"""

from __future__ import annotations

import sys

from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

NAME = "org.gnome.DisplayManager"
POLICY = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="root"><allow own="{NAME}"/></policy>
  <policy context="default"><allow send_destination="{NAME}"/></policy>
</busconfig>
"""
_BUS = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")


def main(address: str) -> None:
    """Answer until the bus is gone."""
    with open_dbus_connection(address) as connection:
        unwrap_msg(connection.send_and_get_reply(new_method_call(_BUS, "RequestName", "su", (NAME, 0))))
        while True:
            message = connection.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            if message.header.fields[HeaderFields.member] == "Get" and message.body[1] == "Version":
                connection.send(new_method_return(message, "v", (("s", "43.0"),)))
            else:
                connection.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ConnectionError, EOFError):
        sys.exit(0)
