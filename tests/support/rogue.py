"""A guest that has turned against the control plane, with what it finds in its own files; shares no line with coffer.

The sealing is written anew here from docs/guests.md: JSON outside, ChaCha20-Poly1305 inside, the open part beside it.
"""

import base64
import itertools
import json
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from tests.support.waiting import wait_for

EXCHANGE, CONDUCTOR = "trove-guests", "trove-conductor"
_WAIT_S = 20.0


@dataclass
class Rogue:
    """Somebody with the files of one guest's directory."""

    instance_id: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    key_id: int
    key: bytes = field(repr=False)
    _numbers: Iterator[int] = field(repr=False, default_factory=lambda: itertools.count(1))

    @classmethod
    def of(cls, guest_dir: Path) -> "Rogue":
        """Read what the guest's own files say."""
        kept = json.loads((guest_dir / "credentials.json").read_text())
        url = urlsplit(kept["transport_url"])
        assert url.hostname, "no host"
        assert url.port, "no port"
        assert url.username, "no account"
        key_id = max(int(each) for each in kept["keys"])
        used = json.loads((guest_dir / "channel.json").read_text())["reserved"]
        return cls(
            instance_id=kept["instance_id"],
            host=url.hostname,
            port=url.port,
            user=url.username,
            password=url.password or "",
            key_id=key_id,
            key=base64.b64decode(kept["keys"][str(key_id)]),
            _numbers=itertools.count(used + 1),
        )

    @property
    def queue(self) -> str:
        """Its own queue."""
        return f"guestagent.{self.instance_id}"

    @contextmanager
    def channel(self, **login: str) -> Iterator[Any]:
        """Give a channel of a new connection; `login` replaces what it logs in with."""
        connection: Any = amqp.Connection(
            f"{self.host}:{self.port}",
            userid=login.get("user", self.user),
            password=login.get("password", self.password),
            virtual_host=login.get("virtual_host", "/"),
            connect_timeout=_WAIT_S,
            read_timeout=_WAIT_S,
        )
        try:
            connection.connect()
            yield connection.channel()
        finally:
            with suppress(amqp.AMQPError, OSError):
                connection.close()
            connection.collect()

    def publish(
        self, *bodies: bytes, exchange: str = EXCHANGE, key: str = CONDUCTOR, **properties: Any
    ) -> None:
        """Publish; raises what the broker says against it."""
        with self.channel() as channel:
            channel.confirm_select()
            for body in bodies:
                channel.basic_publish_confirm(amqp.Message(body, **properties), exchange, key, mandatory=True)

    def number(self) -> int:
        """The next number that it has not used."""
        return next(self._numbers)

    def request(self, method: str, *, run: tuple[str, str] | None = None, **args: Any) -> dict[str, Any]:
        """What a guest says, about a run (its id and its operation) perhaps."""
        context: dict[str, Any] = {"request_id": "req-00000000-0000-4000-8000-000000000000"}
        if run is not None:
            context["notification"] = {"run_id": run[0], "operation": run[1]}
        return {
            "kind": "request",
            "id": secrets.token_hex(16),
            "context": context,
            "method": method,
            "args": args,
            "version": "1.0",
            "reply_to": None,
        }

    def frame(self, inner: Any, **other: Any) -> dict[str, Any]:
        """Seal something; `other` replaces parts of the outside before the sealing, and `key` and `nonce` those."""
        key = other.pop("key", self.key)
        nonce = other.pop("nonce", os.urandom(12))
        outside = {
            "v": 1,
            "to": "control",
            "instance_id": self.instance_id,
            "key_id": self.key_id,
            "number": other.pop("number", None) or self.number(),
            **other,
        }
        about = "coffer sealed 1|{to}|{key_id}|{number}|{instance_id}".format(**outside).encode()
        plain = inner if isinstance(inner, bytes) else json.dumps(inner).encode()
        box = ChaCha20Poly1305(key).encrypt(nonce, plain, about)
        return {**outside, "nonce": base64.b64encode(nonce).decode(), "box": base64.b64encode(box).decode()}

    def sealed(self, inner: Any, **other: Any) -> bytes:
        """The body of a message; see `frame`."""
        return json.dumps(self.frame(inner, **other)).encode()

    def open(self, body: bytes) -> dict[str, Any]:
        """Open what the control plane has sent to it."""
        frame = json.loads(body)
        about = "coffer sealed 1|{to}|{key_id}|{number}|{instance_id}".format(**frame).encode()
        nonce, box = (base64.b64decode(frame[name]) for name in ("nonce", "box"))
        found: dict[str, Any] = json.loads(ChaCha20Poly1305(self.key).decrypt(nonce, box, about))
        return found

    def answer(self, question: dict[str, Any], result: Any, **other: Any) -> bytes:
        """The body that answers what it was asked."""
        named = {name: question[name] for name in ("id", "reply_to")}
        return self.sealed({"kind": "answer", **named, "reply": {"result": result}, **other})

    def next_message(self) -> bytes:
        """Take the next message of its own queue, once there is one."""
        with self.channel() as channel:
            channel.auto_decode = False
            message = wait_for(lambda: channel.basic_get(self.queue, no_ack=True), _WAIT_S, "a message")
            assert message is not None
            return bytes(message.body)

    def purge(self) -> None:
        """Empty its own queue."""
        with self.channel() as channel:
            channel.queue_purge(self.queue)


def frozen(pid: int) -> None:
    """Have the agent itself do nothing more; it is not started again, for it is still there."""
    os.kill(pid, signal.SIGSTOP)
