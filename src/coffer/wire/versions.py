"""Which version of a contract a message needs, and how to speak to a service that is still older. Pure.

A message names the least version that it needs, not the one of who sends it: a newer client that asks for nothing new
is served by an older server. What an older server must be spared is known from the pin that the operator has set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coffer.catalogue.errors import PeerTooOld
from coffer.wire.json import JSON

FIRST = "1.0"


@dataclass(frozen=True, slots=True)
class Added:
    """What a version added to a contract: a method, or an argument of one.

    A `is_dispensable` argument is left out for an older server, which then does what it always did. Without any other
    argument, once it says something, the order would be another one; so it needs its version as a method does.
    """

    version: str
    method: str
    argument: str | None = None
    is_dispensable: bool = False


def fitted(
    method: str, args: Mapping[str, JSON], *, service: str, added: Sequence[Added], pin: str | None
) -> tuple[str, dict[str, JSON]]:
    """Return the version that a message needs, and its arguments as a server of the version `pin` takes them.

    Args:
        method: what is asked for.
        args: its arguments; one that is None asks for nothing.
        service: who is asked, for people.
        added: what was added to the contract after its first version.
        pin: the oldest version that may be served by; None for a server that is as new as we are.

    Raises:
        PeerTooOld: if what is asked for came after `pin`.
    """
    version, fitting = FIRST, dict(args)
    for addition in added:
        if addition.method != method or (addition.argument is not None and addition.argument not in args):
            continue
        is_silent = addition.argument is not None and args[addition.argument] is None
        is_too_new = pin is not None and number(addition.version) > number(pin)
        if addition.argument is not None and is_too_new and (is_silent or addition.is_dispensable):
            del fitting[addition.argument]
        elif is_too_new:
            raise PeerTooOld(service=service, pin=pin, what=_name(addition), version=addition.version)
        elif not (is_silent or addition.is_dispensable):
            version = max(version, addition.version, key=number)
    return version, fitting


def number(version: str) -> tuple[int, int]:
    """Return a version as numbers that compare as versions do.

    Raises:
        ValueError: if it is none.
    """
    major, minor = (int(part) for part in version.split("."))
    return major, minor


def _name(addition: Added) -> str:
    return addition.method if addition.argument is None else f"{addition.argument} of {addition.method}"
