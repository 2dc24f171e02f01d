"""The ids of requests: `req-` and a random UUID, as everywhere in OpenStack."""

import os
import threading

_SUPPLY_BYTES = 4096
_SIZE_BYTES = 16
_SUPPLY: list[bytes] = []
_FILLING = threading.Lock()


def new_request_id() -> str:
    """Return an id that nobody else has.

    The system's random numbers are fetched for many ids at a time: where a call to the system is dear, each for itself
    would cost as much as a trivial request.
    """
    digits = _random().hex()
    # Source: RFC 9562, section 5.4: the digits at two places say version and variant.
    return f"req-{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _random() -> bytes:
    while True:
        try:
            return _SUPPLY.pop()
        except IndexError:
            _fill()


def _fill() -> None:
    with _FILLING:
        if not _SUPPLY:
            found = os.urandom(_SUPPLY_BYTES)
            _SUPPLY.extend(found[at : at + _SIZE_BYTES] for at in range(0, _SUPPLY_BYTES, _SIZE_BYTES))


def _begin_anew() -> None:
    """Forget, in a process that was forked, what its parent will give out."""
    global _FILLING  # noqa: PLW0603 - another thread of the parent may have held it
    _FILLING = threading.Lock()
    _SUPPLY.clear()


os.register_at_fork(after_in_child=_begin_anew)
