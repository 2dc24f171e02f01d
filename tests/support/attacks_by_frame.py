"""Attacks by what a guest may send, to where it may send it: each must be refused by the conductor, in one line.

Some are no frames, some frames that do not open, and some open and say what this guest may not say.
"""

import gzip
import json
import os
import struct
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.support.amqp_by_hand import RawConnection
from tests.support.rogue import CONDUCTOR, EXCHANGE, Rogue

FrameAttack = Callable[[Rogue, str], object]
"""Gets the attacker and the id of its victim; sends one message."""

MIB = 2**20
NO_RUN = "00000000-0000-4000-8000-000000000000"
UGLY = "x\r\n2026-11-22 12:00:00.000 1 INFO coffer [-] all is well\x1b[2J\u202e"


def heartbeat(rogue: Rogue, **other: Any) -> bytes:
    return rogue.sealed(rogue.request("heartbeat", status="HEALTHY"), **other)


def _sends(make: Callable[[Rogue, str], bytes], **properties: Any) -> FrameAttack:
    def attack(rogue: Rogue, victim: str) -> None:
        rogue.publish(make(rogue, victim), **properties)

    return attack


def _raw(make: Callable[[Rogue], bytes], properties: bytes) -> FrameAttack:
    """Send with properties that no client library would write."""

    def attack(rogue: Rogue, victim: str) -> None:
        del victim
        with closing(RawConnection(rogue.port, rogue.user, rogue.password)) as connection:
            connection.publish(EXCHANGE, CONDUCTOR, make(rogue), properties=properties)

    return attack


def _says(make: Callable[[Rogue, str], Any]) -> FrameAttack:
    """Seal it as it should be."""
    return _sends(lambda rogue, victim: rogue.sealed(make(rogue, victim)))


def _outside(**wrong: Any) -> FrameAttack:
    """Replace parts of a good frame after it was sealed."""

    def make(rogue: Rogue, victim: str) -> bytes:
        del victim
        return json.dumps({**rogue.frame(rogue.request("heartbeat", status="HEALTHY")), **wrong}).encode()

    return _sends(make)


def _without(name: str) -> FrameAttack:
    def make(rogue: Rogue, victim: str) -> bytes:
        del victim
        frame = rogue.frame(rogue.request("heartbeat", status="HEALTHY"))
        del frame[name]
        return json.dumps(frame).encode()

    return _sends(make)


def _literal(name: str, value: str) -> FrameAttack:
    """Write a value of the outside as this very text."""

    def make(rogue: Rogue, victim: str) -> bytes:
        del victim
        frame = rogue.frame(rogue.request("heartbeat", status="HEALTHY"))
        return json.dumps({**frame, name: "HERE"}).replace('"HERE"', value).encode()

    return _sends(make)


def _inside(**wrong: Any) -> FrameAttack:
    """Replace parts of a good message before it is sealed."""
    return _says(lambda rogue, _: {**rogue.request("heartbeat", status="HEALTHY"), **wrong})


def _reports(method: str, run_id: object, **args: Any) -> FrameAttack:
    return _says(lambda rogue, _: rogue.request(method, run=(run_id, "database_create"), **args))  # type: ignore[arg-type]


def _answers_to(reply_to: str) -> FrameAttack:
    def make(rogue: Rogue, victim: str) -> dict[str, Any]:
        del rogue
        return {
            "kind": "answer",
            "id": "0" * 32,
            "reply_to": reply_to.format(victim=victim),
            "reply": {"result": []},
        }

    return _says(make)


def _again(rogue: Rogue, victim: str) -> None:
    del victim
    body = heartbeat(rogue)
    rogue.publish(body, body)


def _flipped(rogue: Rogue, victim: str) -> bytes:
    del victim
    frame = rogue.frame(rogue.request("heartbeat", status="HEALTHY"))
    first = "A" if frame["box"][0] != "A" else "B"
    return json.dumps({**frame, "box": first + frame["box"][1:]}).encode()


def _nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return struct.pack(">I", len(table)) + table


NO_FRAMES: dict[str, FrameAttack] = {
    "noise": _sends(lambda *_: os.urandom(500)),
    "nothing": _sends(lambda *_: b""),
    "another thing of JSON": _sends(lambda *_: b"[1, 2, 3]"),
    "a frame cut short": _sends(lambda rogue, _: heartbeat(rogue)[:-40]),
    "two frames in one": _sends(lambda rogue, _: heartbeat(rogue) * 2),
    "JSON deeper than a stack": _sends(lambda *_: b'{"v":' * 100_000),
    "arrays deeper than a stack": _sends(lambda *_: b"[" * 500_000),
    "5 MiB": _sends(lambda *_: b"x" * 5 * MIB),
    "40 MiB in the form of a frame": _sends(lambda *_: b'{"v": 1, "box": "' + b"A" * 40 * MIB + b'"}'),
    "a gzip bomb": _sends(
        lambda *_: gzip.compress(b"0" * 64 * MIB),
        content_encoding="gzip",
        application_headers={"compression": "gzip"},
    ),
    "an order as oslo.messaging writes it": _sends(
        lambda _, victim: json.dumps(
            {
                "oslo.version": "2.0",
                "oslo.message": json.dumps(
                    {
                        "method": "notify_end",
                        "args": {"instance_id": victim, "traits": {}},
                        "version": "1.0",
                        "_reply_q": "notifications.info",
                        "_msg_id": "0" * 32,
                    }
                ),
            }
        ).encode(),
        content_type="application/json",
    ),
    "copies for everybody by header": _sends(
        lambda *_: b"copies",
        application_headers={
            "CC": ["trove-taskmanager", "notifications.info", "notifications.error"],
            "BCC": ["trove-taskmanager", "coffer-collector"],
        },
    ),
    "an answer asked for elsewhere": _sends(
        lambda *_: b"{}", reply_to="trove-taskmanager", correlation_id="notifications.info"
    ),
    "headers deeper than a stack": _raw(lambda _: b"{}", struct.pack(">H", 0x2000) + _nested(8000)),
    "a time that no calendar has": _raw(lambda _: b"{}", struct.pack(">HQ", 0x0040, 2**64 - 1)),
    "a property that is no text": _raw(lambda _: b"{}", struct.pack(">HB", 0x0400, 2) + b"\xff\xfe"),
}

WRONG_OUTSIDE: dict[str, FrameAttack] = {
    "another version": _outside(v=2),
    "a field more": _outside(is_admin=True),
    "a field less": _without("nonce"),
    "a number that is text": _outside(number="1"),
    "a number that is none": _literal("number", "NaN"),
    "a number with a fraction": _literal("number", "1.5"),
    "a number below all": _outside(number=-1),
    "no number": _outside(number=0),
    "a number of 65 bits": _outside(number=2**64),
    "a number of 10000 digits": _literal("number", "9" * 10_000),
    "a key number of 65 bits": _outside(key_id=2**64),
    "a key that there is not": _sends(lambda rogue, _: heartbeat(rogue, key_id=99)),
    "an instance id that is a path": _outside(instance_id="../../etc/passwd"),
    "an instance id that steers a terminal": _outside(instance_id=UGLY),
    "an instance id of 1 MiB": _outside(instance_id="a" * MIB),
    "an instance that there is not": _sends(lambda rogue, _: heartbeat(rogue, instance_id=NO_RUN)),
    "another instance under its own key": _sends(lambda rogue, victim: heartbeat(rogue, instance_id=victim)),
    "another instance on its own frame": _sends(
        lambda rogue, victim: json.dumps(
            {**rogue.frame(rogue.request("heartbeat", status="CRASHED")), "instance_id": victim}
        ).encode()
    ),
    "a key that it made itself": _sends(lambda rogue, _: heartbeat(rogue, key=os.urandom(32))),
    "another number on the same frame": _sends(
        lambda rogue, _: json.dumps(
            {**rogue.frame(rogue.request("heartbeat", status="CRASHED")), "number": rogue.number()}
        ).encode()
    ),
    "a box that was changed": _sends(_flipped),
    "an empty box": _outside(box=""),
    "a nonce of one byte": _outside(nonce="AA=="),
    "a nonce that is no base64": _outside(nonce="!!!!"),
    "what is meant for guests": _sends(lambda rogue, _: heartbeat(rogue, to="guest")),
    "what is meant for nobody": _outside(to="everybody"),
    "a message twice": _again,
    "its first message again": _sends(lambda rogue, _: heartbeat(rogue, number=1)),
}

WRONG_INSIDE: dict[str, FrameAttack] = {
    "noise in the box": _says(lambda *_: os.urandom(100)),
    "no object in the box": _says(lambda *_: [1, 2]),
    "depths in the box": _says(lambda *_: b'{"kind":' * 50_000),
    "numbers that are none in the box": _says(lambda *_: b'{"kind": NaN, "id": Infinity}'),
    "another kind": _inside(kind="order"),
    "an id that is none": _inside(id=UGLY),
    "a method that is a number": _inside(method=7),
    "a method of 1 MiB": _inside(method="x" * MIB),
    "arguments that are none": _inside(args=[1]),
    "a context that is none": _inside(context="admin"),
    "a task of the taskmanager": _says(
        lambda rogue, victim: rogue.request("delete_instance", instance_id=victim)
    ),
    "a method that is private": _says(lambda rogue, _: rogue.request("_launch")),
    "a method of all objects": _says(lambda rogue, _: rogue.request("__init__")),
    "a call that guests get": _says(lambda rogue, _: rogue.request("take_credentials", credentials="{}")),
    "a heartbeat with a state that is none": _inside(args={"status": UGLY}),
    "a heartbeat with a state of another type": _inside(args={"status": {"a": [1]}}),
    "the end of a run that never was": _reports("notify_end", NO_RUN, traits={}),
    "the failure of a run that never was": _reports(
        "notify_exc_info", NO_RUN, etype="guest_failed", value={}, trace=""
    ),
    "the end of a run with an id that injects": _reports("notify_end", "' or '1'='1", traits={}),
    "an answer for the taskmanagers": _answers_to("trove-taskmanager"),
    "an answer for consumers of notifications": _answers_to("notifications.info"),
    "an answer for another guest": _answers_to("guestagent.{victim}"),
    "an answer for a queue that looks right": _answers_to("coffer-answers.#"),
    "an answer for a line of the log": _answers_to(UGLY),
}

BY_FRAME = {**NO_FRAMES, **WRONG_OUTSIDE, **WRONG_INSIDE}
