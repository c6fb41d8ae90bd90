"""Whose process is at the other end of a local connection.

Everybody on a machine can connect to its loopback address, and a workspace is perhaps for one user
only. The kernel knows the user of each socket. It answers a question about one socket
(`sock_diag(7)`) in 20 µs; where it does not, the table of all sockets is read, which takes
milliseconds.
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

_ESTABLISHED: Final = 1
_NO_INODE: Final = 0

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h: a header, then the states and the socket
# that are meant, or those that were found. Ports and addresses are in the order of the network.
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_STATES: Final = struct.Struct("=BBBBI")
_ENDS: Final = struct.Struct(">HH16s16s")
_ANY_INTERFACE_AND_COOKIE: Final = bytes(4) + b"\xff" * 8
_FOUND: Final = struct.Struct(f"=xBxx{_ENDS.size}s12x12xII")

Address = tuple[str, int]
"""An IP address as text, and a port."""


def uid_of_peer(peer: Address, own: Address) -> int | None:
    """The user whose socket has the address `peer` and is connected to `own`.

    None if the kernel does not know: the socket is on another host or in another network namespace,
    or was closed, or this is not Linux. A closed one lingers as one of root's: it does not count.
    """
    for ask in (_told, _looked_up):
        # Systems other than Linux have no such sockets.
        with suppress(OSError, ValueError, AttributeError, struct.error):
            found = ask(peer, own)
            if found is not None:
                state, uid, inode = found
                return uid if state == _ESTABLISHED and inode != _NO_INODE else None
    return None


def knows_users(address: str) -> bool:
    """Whether this system says whose connections an address of it has."""
    return _TABLES[_family(address)].exists()


def _told(peer: Address, own: Address) -> tuple[int, int, int] | None:
    """State, user and inode of the socket, as the kernel answers; OSError if it knows none."""
    family = _family(peer[0])
    packed = [socket.inet_pton(family, address) for address, _ in (peer, own)]
    ends = _ENDS.pack(peer[1], own[1], *packed)
    asked = _STATES.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _ESTABLISHED)
    asked += ends + _ANY_INTERFACE_AND_COOKIE
    header = _HEADER.pack(_HEADER.size + len(asked), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.sendto(header + asked, (0, 0))
        answer = kernel.recv(1_024, socket.MSG_DONTWAIT)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None  # An error: there is no such socket, or nobody who knows.
    state, found, uid, inode = _FOUND.unpack_from(answer, _HEADER.size)
    return (state, uid, inode) if found == ends else None


def _looked_up(peer: Address, own: Address) -> tuple[int, int, int] | None:
    """The same from the table of all sockets."""
    family = _family(peer[0])
    wanted = [_written(family, peer), _written(family, own)]
    for line in _TABLES[family].read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if [fields[_LOCAL], fields[_REMOTE]] == wanted:
            return int(fields[_STATE], 16), int(fields[_UID]), int(fields[_INODE])
    return None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _written(family: socket.AddressFamily, address: Address) -> str:
    """The address as the kernel writes it: words of the processor's byte order, in hexadecimal."""
    packed = socket.inet_pton(family, address[0])
    words = struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}{len(packed) // 4}I", packed)
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"
