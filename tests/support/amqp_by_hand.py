"""AMQP 0-9-1 written to a socket by hand, for what no client library would send; shares no line with coffer.

Frames: a type, a channel, a length, the payload, 0xCE. Methods: a class, a method, arguments.
"""

import socket
import struct

_METHOD, _HEADER, _BODY = 1, 2, 3
_END = 0xCE
_FRAME_MAX = 131_072
_CHANNELS = 2
_TIMEOUT_S = 20.0


def short(text: str | bytes) -> bytes:
    """A short string."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def long(data: bytes) -> bytes:
    """A long string, or a table."""
    return struct.pack(">I", len(data)) + data


class RawConnection:
    """A connection with one channel, open from its construction on; raises ConnectionError when the broker ends it."""

    def __init__(self, port: int, user: str, password: str, *, virtual_host: str = "/") -> None:
        """Log in."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        try:
            self._socket.sendall(b"AMQP\x00\x00\x09\x01")
            self.expect(10, 10)
            login = f"\0{user}\0{password}".encode()
            self.method(0, 10, 11, long(b"") + short("PLAIN") + long(login) + short("en_US"))
            self.expect(10, 30)
            self.method(0, 10, 31, struct.pack(">HIH", _CHANNELS, _FRAME_MAX, 0))
            self.method(0, 10, 40, short(virtual_host) + short("") + b"\0")
            self.expect(10, 41)
            self.method(1, 20, 10, short(""))
            self.expect(20, 11)
        except BaseException:
            self._socket.close()
            raise

    def publish(self, exchange: str, key: str, body: bytes, *, properties: bytes = b"\0\0") -> None:
        """Publish; `properties` are flags and values as they go over the wire."""
        self.method(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0")
        self.frame(_HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties)
        room = _FRAME_MAX - 8
        for start in range(0, len(body), room):
            self.frame(_BODY, 1, body[start : start + room])

    def method(self, channel: int, class_id: int, method_id: int, arguments: bytes) -> None:
        """Send a method."""
        self.frame(_METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)

    def frame(self, kind: int, channel: int, payload: bytes) -> None:
        """Send a frame."""
        self.send(struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([_END]))

    def send(self, data: bytes) -> None:
        """Send anything."""
        self._socket.sendall(data)

    def expect(self, class_id: int, method_id: int) -> bytes:
        """Read up to a method and return its arguments."""
        while True:
            kind, _, size = struct.unpack(">BHI", self._read(7))
            payload = self._read(size + 1)[:-1]
            if kind != _METHOD:
                continue
            found = struct.unpack_from(">HH", payload)
            if found == (class_id, method_id):
                return payload[4:]
            if found in {(10, 50), (20, 40)}:
                raise ConnectionError(f"the broker closes: {payload[4:]!r}")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the broker has hung up")
            data += part
        return data
