"""Keeps py-amqp from reading more of a stranger's message than its body, and from keeping more of that than we read.

A message's properties are of no use where nothing in them is believed, and could be made to break their decoder, which
runs before anybody could refuse the message: it would come again for ever. A body of 128 MiB would be kept in full.
"""

import struct
from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_handler

_HEADER, _BODY = 2, 3
_SIZES = struct.Struct(">HxxQ")
_BARE_HEADER = struct.Struct(">HHQH")
"""Class, weight, size of the body, no properties."""

Frame = tuple[int, int, Any]


def bodies_only(limit_bytes: int) -> Callable[[Any, Any], Callable[[Frame], Any]]:
    """Return a frame handler for py-amqp: a body is handed on up to one byte more than `limit_bytes`."""

    def make(connection: Any, callback: Any) -> Callable[[Frame], Any]:
        hand_on = frame_handler(connection, callback)
        wanted: dict[int, int] = {}

        def on_frame(frame: Frame) -> Any:
            kind, channel, content = frame
            if kind == _HEADER:
                class_id, size = _SIZES.unpack_from(content)
                wanted[channel] = min(size, limit_bytes + 1)
                return hand_on((kind, channel, _BARE_HEADER.pack(class_id, 0, wanted[channel], 0)))
            if kind == _BODY:
                part = content[: wanted.get(channel, 0)]
                wanted[channel] = wanted.get(channel, 0) - len(part)
                if not part:
                    connection.bytes_recv += 1  # by which py-amqp knows that the broker lives
                    return False
                return hand_on((kind, channel, part))
            return hand_on(frame)

        return on_frame

    return make
