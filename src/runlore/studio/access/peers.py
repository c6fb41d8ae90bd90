"""Whose process is at the other end of a local connection.

Everybody on a machine can connect to its loopback address, and a workspace is perhaps for one user
only. The kernel knows the user of each socket.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_TABLES: Final = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
_LOCAL, _REMOTE, _STATE, _UID, _INODE = 1, 2, 3, 7, 9
_ESTABLISHED: Final = "01"
_NO_INODE: Final = "0"

Address = tuple[str, int]
"""An IP address as text, and a port."""


def uid_of_peer(peer: Address, own: Address) -> int | None:
    """The user whose socket has the address `peer` and is connected to `own`.

    None if the kernel does not know: the socket is on another host or in another network namespace,
    or was closed, or this is not Linux. A closed one lingers as one of root's: it does not count.
    """
    with suppress(OSError, ValueError):
        family = _family(peer[0])
        wanted = [_written(family, peer), _written(family, own)]
        for line in _TABLES[family].read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if [fields[_LOCAL], fields[_REMOTE]] == wanted:
                is_held = fields[_STATE] == _ESTABLISHED and fields[_INODE] != _NO_INODE
                return int(fields[_UID]) if is_held else None
    return None


def knows_users(address: str) -> bool:
    """Whether this system says whose connections an address of it has."""
    return _TABLES[_family(address)].exists()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _written(family: socket.AddressFamily, address: Address) -> str:
    """The address as the kernel writes it: words of the processor's byte order, in hexadecimal."""
    packed = socket.inet_pton(family, address[0])
    words = struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}{len(packed) // 4}I", packed)
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"
