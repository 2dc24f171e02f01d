"""Finds the method that a message asks for, and makes a reply of whatever happens.

It knows no transport. What a message says is data: it names a method of the contract or it is refused.
"""

import inspect
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from coffer.catalogue.errors import CofferError, NotBuilt
from coffer.catalogue.masking import MASK, mask_secrets
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON
from coffer.wire.rpc_errors import error_to_json

LOG = logging.getLogger(__name__)

Reply = dict[str, JSON]

_SECRET_WORDS = ("password", "secret", "token", "credential", "key")


class Dispatcher:
    """Serves the methods of a contract with the methods of an endpoint."""

    def __init__(self, *, topic: str, endpoint: object, version: str, methods: frozenset[str]) -> None:
        """Serve `methods` of `endpoint` to clients of the same major and at most the minor of `version`."""
        self._topic = topic
        self._version = version
        self._methods = {name: getattr(endpoint, name) for name in methods}
        self._parameters = {name: _parameters(method) for name, method in self._methods.items()}

    def handle(self, context: Mapping[str, Any], message: Mapping[str, Any]) -> Reply:
        """Do what `message` asks for and return the reply; never raises."""
        ctx = TroveContext.from_dict(context)
        method = message.get("method")
        given = message.get("args")
        args: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
        try:
            return {"result": self._do(ctx, method, message.get("version"), args)}
        except CofferError as error:
            LOG.info("rpc refused topic=%s method=%s code=%s", self._topic, method, error.code)
            return {"error": error_to_json(error)}
        except Exception as error:  # noqa: BLE001 - one of the six loops: it is logged here, once
            LOG.error(  # noqa: TRY400 - the traceback is in the text, without the arguments' secrets
                "rpc failed topic=%s method=%s run_id=%s\n%s",
                self._topic,
                method,
                ctx.notification.run_id if ctx.notification else None,
                _trace(error, args),
            )
            return {"error": error_to_json(CofferError())}

    def _do(self, ctx: TroveContext, method: object, version: object, args: dict[str, Any]) -> JSON:
        if not isinstance(method, str) or method not in self._methods:
            raise NotBuilt(what=f"Method {str(method)[:100]!r} of {self._topic}")
        if not _serves(self._version, version):
            raise NotBuilt(what=f"Version {str(version)[:20]!r} of {self._topic} {method}")
        known = self._parameters[method]
        unknown = sorted(name for name in args if known is not None and name not in known)
        if unknown:
            # A newer client's option: an older server does without it (G9).
            LOG.warning("rpc arguments skipped topic=%s method=%s names=%s", self._topic, method, unknown)
        result: JSON = self._methods[method](ctx, **{k: v for k, v in args.items() if k not in unknown})
        return result


def _parameters(method: Any) -> frozenset[str] | None:
    """Return the names that `method` takes besides the context, None if it takes any."""
    parameters = list(inspect.signature(method).parameters.values())
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return None
    return frozenset(each.name for each in parameters[1:])


def _serves(served: str, asked: object) -> bool:
    """True when a server of version `served` understands a client of version `asked`."""
    try:
        major, minor = (int(part) for part in str(asked).split("."))
    except ValueError:
        return False
    own_major, own_minor = (int(part) for part in served.split("."))
    return major == own_major and minor <= own_minor


def _trace(error: BaseException, args: Mapping[str, Any]) -> str:
    """Return the traceback with every secret of the arguments replaced, wherever a library has quoted it."""
    text = "".join(traceback.format_exception(error))
    for secret in sorted(set(_secrets(args)), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return mask_secrets(text)


def _secrets(value: object, *, under_secret_key: bool = False) -> Iterator[str]:
    """Find the texts that stand under a key like `password`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            is_secret = any(word in str(key).lower() for word in _SECRET_WORDS)
            yield from _secrets(item, under_secret_key=under_secret_key or is_secret)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, under_secret_key=under_secret_key)
    elif under_secret_key and isinstance(value, str) and value:
        yield value
