"""An OpenAI-compatible server that sends one fixed answer after a fixed delay.

Run: python benchmarks/stub_server.py BODY_FILE [--delay 0.5]
Prints its port, then serves until its standard input closes. `POST` anything: the body of
BODY_FILE after the delay. `GET /ledger`: the numbers of requests answered, in flight, and at most
in flight. Bare asyncio streams and no framework, so that the server does not dominate the
measurement; on uvloop if that is installed.
"""

import argparse
import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast


class Ledger:
    """Counts of the server's requests."""

    def __init__(self) -> None:
        self.answered = self.in_flight = self.peak = 0


class Connection(asyncio.Protocol):
    """One client's requests, one after the other."""

    def __init__(self, answer: bytes, delay_s: float, ledger: Ledger) -> None:
        self.answer, self.delay_s, self.ledger = answer, delay_s, ledger
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for replies."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request once it is complete."""
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        fields = head.lower()
        start = fields.find(b"content-length:")
        length = int(fields[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(rest) < length:
            return
        self.received = rest[length:]
        if head.startswith(b"GET"):
            self.transport.write(response(json.dumps(vars(self.ledger)).encode()))
            self.ledger.peak = self.ledger.in_flight
            return
        self.ledger.in_flight += 1
        self.ledger.peak = max(self.ledger.peak, self.ledger.in_flight)
        asyncio.get_running_loop().call_later(self.delay_s, self.reply)

    def reply(self) -> None:
        """Send the answer, if the client is still connected."""
        self.ledger.in_flight -= 1
        if not self.transport.is_closing():
            self.ledger.answered += 1
            self.transport.write(self.answer)


def response(body: bytes) -> bytes:
    """An HTTP response with a JSON body."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def serve(answer: bytes, delay_s: float) -> None:
    """Serve until standard input closes."""
    loop, ledger = asyncio.get_running_loop(), Ledger()
    server = await loop.create_server(
        lambda: Connection(answer, delay_s, ledger), "127.0.0.1", 0, backlog=4096
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("body", type=Path)
    parser.add_argument("--delay", type=float, default=0.5, help="seconds")
    options = parser.parse_args()
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(response(options.body.read_bytes()), options.delay))


if __name__ == "__main__":
    main()
