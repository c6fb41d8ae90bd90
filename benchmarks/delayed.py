"""A TCP proxy in a process of its own that brings all bytes later, each way: a network.

    python -m benchmarks.delayed PORT SECONDS

It prints its own port, and ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """The port of a proxy to a port of this machine, for the time of the block."""
    command = [sys.executable, "-m", "benchmarks.delayed", str(port), str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdout is not None and proxy.stdin is not None
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.stdin.close()


async def _serve(port: int, seconds: float) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # At the end, which stops all.
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_bring(reader, back, seconds), _bring(there, writer, seconds))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(end.set)), daemon=True
    ).start()
    await end.wait()


async def _bring(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await reader.read(2**16):
            loop.call_later(seconds, _write, writer, data)  # Later bytes do not wait for these.
        loop.call_later(seconds, writer.close)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
