"""`auth_strategy = keystone`: the only module that meets keystonemiddleware.

The middleware stands beside the application, not around it: it is shown the token of a request and nothing else that
the client sent, so that no header of the client's can be mistaken for one that the middleware vouches for; and what
it refuses is answered in our form, by us.
"""

import hashlib
import importlib.util
import io
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Generic, TypeVar
from wsgiref.types import StartResponse, WSGIEnvironment

from keystoneauth1 import exceptions, loading
from keystonemiddleware import auth_token
from keystonemiddleware.exceptions import ConfigurationError
from oslo_config import cfg

from coffer.api.auth import Identity
from coffer.catalogue.errors import IdentityUnavailable, NoProject, Unauthorized

T = TypeVar("T")

LOG = logging.getLogger(__name__)

GROUP = "keystone_authtoken"
DEFAULTS = {"service_type": "database", "http_connect_timeout": 10, "http_request_max_retries": 1}
"""Where ours are others than the middleware's, whose own let a thread wait for a frozen Keystone without an end."""

REMEMBERED = 2_000
"""Tokens; the answer of Keystone with its service catalogue has some 10 kB."""
REMEMBERED_S = 1.0
"""How long who has just called is known without the middleware, which takes several times as long as a trivial call."""
TURN_S = 1.0
"""How long a caller waits for others whom Keystone keeps waiting."""
SOON_S = 0.05
"""How long he must be known at least, so that he still is when his call is served."""
_CACHE = "coffer.tokens"
_VOUCHED = "coffer.vouched"
_KEPT = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme")
"""What the middleware sees beside the token: the access rules of an application credential name method and path."""


class KeystoneMisconfigured(Exception):  # noqa: N818 - it is what it says
    """[keystone_authtoken] cannot be used; a sentence for the operator."""


class Keystone:
    """The strategy: who has a valid token for a project acts for that project, with the roles of the token."""

    def __init__(self, conf: cfg.ConfigOpts, *, at_once: int = 4) -> None:
        """Take the options of [keystone_authtoken], which are registered on `conf`; Keystone may be away.

        No more than `at_once` callers wait for Keystone; the threads of a process must not all hang on it.

        Raises:
            KeystoneMisconfigured: if Keystone could never be asked with them.
        """
        register(conf)
        _check(conf)
        self._tokens: Memory[bytes] = Memory()
        self._identities: Memory[Identity] = Memory()
        self._seen: Memory[bool] = Memory(REMEMBERED)
        self._waiting = threading.BoundedSemaphore(at_once)
        self._cached_s = conf[GROUP].token_cache_time
        self._remembered_s = min(REMEMBERED_S, self._cached_s)
        # Only so can a token that is refused be told from one that nobody could look at; and without the catalogue
        # the middleware stumbles over access rules.
        overrides: dict[str, object] = {"delay_auth_decision": False, "include_service_catalog": True}
        if not conf[GROUP].memcached_servers:
            overrides["cache"] = _CACHE
        try:
            self._middleware = auth_token.AuthProtocol(_noted, {**overrides, "oslo_config_config": conf})
        except (exceptions.ClientException, ConfigurationError, cfg.Error) as error:
            raise KeystoneMisconfigured(f"[{GROUP}] cannot be used: {error}") from error
        self.challenge = f'Keystone uri="{conf[GROUP].www_authenticate_uri}"'

    def identify(self, environ: Mapping[str, object], project_id: str) -> Identity:  # noqa: ARG002 - the token says it
        """Return whom the token names.

        Raises:
            Unauthorized: without a token, and for one that is expired, revoked or made up.
            NoProject: for one of a domain, of the whole system, or of nothing.
            IdentityUnavailable: if Keystone does not answer, and the token has not been seen lately.
        """
        token = _text(environ, "HTTP_X_AUTH_TOKEN")
        if not token:
            raise Unauthorized
        digest = _digest(token)
        identity = self._identities.get(digest)
        if identity is None:
            with self._turn(digest):
                vouched = self._vouched(environ, token)
            identity = _identity(vouched)
            token_info = vouched.get("keystone.token_info")
            seconds = known_s(token_info, datetime.now(UTC), at_most_s=self._remembered_s)
            self._identities.set(digest, identity, seconds)
        return identity

    def knows(self, environ: Mapping[str, object]) -> bool:
        """Return whether the bearer of the token has called just now, or there is no token."""
        token = _text(environ, "HTTP_X_AUTH_TOKEN")
        return not token or self._identities.holds(_digest(token), SOON_S)

    @contextmanager
    def _turn(self, digest: str) -> Iterator[None]:
        """Wait for one's turn to ask Keystone; there is none to wait for if the middleware knows the token.

        Raises:
            IdentityUnavailable: if it does not come.
        """
        if self._seen.get(digest):
            yield
            return
        if not self._waiting.acquire(timeout=TURN_S):
            raise IdentityUnavailable
        try:
            yield
        finally:
            self._waiting.release()
        self._seen.set(digest, value=True, time=self._cached_s)

    def _vouched(self, environ: Mapping[str, object], token: str) -> Mapping[str, object]:
        """Return what the middleware says about the token of a request.

        Raises:
            Unauthorized: if it refuses the token.
            IdentityUnavailable: if it cannot know.
        """
        shown = {name: environ[name] for name in _KEPT if name in environ}
        shown |= {"HTTP_X_AUTH_TOKEN": token, "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
        shown |= {"wsgi.version": (1, 0), _CACHE: self._tokens}
        status = ""

        def start_response(
            line: str, _headers: object, _failure: object = None, /
        ) -> Callable[[bytes], object]:
            nonlocal status
            status = line
            return len

        try:
            self._middleware(shown, start_response)
        except exceptions.ClientException as error:
            LOG.error("Keystone cannot be asked reason=%s: %s", type(error).__name__, error)  # noqa: TRY400 - says all
            raise IdentityUnavailable from error
        if shown.get(_VOUCHED) is True and shown.get("HTTP_X_IDENTITY_STATUS") == "Confirmed":
            return shown
        raise IdentityUnavailable if status.startswith("5") else Unauthorized


class Memory(Generic[T]):
    """What is known of tokens of late, for all threads, by a digest; also the middleware's cache, with an upper bound.

    The middleware has one of its own for where no memcached is named; it never forgets what is not asked for again.
    """

    def __init__(self, limit: int = REMEMBERED, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember `limit` tokens; those that were asked for longest ago go first."""
        self._limit = limit
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> T | None:
        """Return what is known of the token with this digest, while it holds."""
        with self._lock:
            found = self._known.get(key)
            if found is None:
                return None
            until, value = found
            if self._clock() >= until:
                del self._known[key]
                return None
            self._known.move_to_end(key)
            return value

    def holds(self, key: str, seconds: float) -> bool:
        """Return whether something is known of this token, and will be for so long."""
        with self._lock:
            found = self._known.get(key)
            return found is not None and self._clock() + seconds < found[0]

    def set(self, key: str, value: T, time: float) -> None:
        """Remember `value` for `time` seconds; not at all if that is none or less."""
        if time <= 0:
            return
        with self._lock:
            self._known[key] = (self._clock() + time, value)
            self._known.move_to_end(key)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


def known_s(token_info: object, now: datetime, *, at_most_s: float) -> float:
    """Return for how many seconds the bearer of a token needs no second look, given what Keystone said of it.

    None for one that opens certain calls only, which have to be looked at one by one; and not beyond its end.
    """
    token = token_info.get("token") if isinstance(token_info, Mapping) else None
    if not isinstance(token, Mapping):
        return 0.0
    credential = token.get("application_credential") or {}
    if credential.get("access_rules") is not None:
        return 0.0
    try:
        left = datetime.fromisoformat(str(token.get("expires_at"))) - now
    except (ValueError, TypeError):
        return 0.0
    return min(at_most_s, left.total_seconds())


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options of [keystone_authtoken] known to `conf`, with our defaults."""
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    for name, value in DEFAULTS.items():
        conf.set_default(name, value, group=GROUP)
    loading.register_auth_conf_options(conf, conf[GROUP].auth_section or GROUP)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _identity(vouched: Mapping[str, object]) -> Identity:
    """Return whom the middleware names.

    Raises:
        Unauthorized: if nobody.
        NoProject: if somebody who acts for no project.
    """
    user_id, project = _text(vouched, "HTTP_X_USER_ID"), _text(vouched, "HTTP_X_PROJECT_ID")
    if not user_id:
        raise Unauthorized
    if not project:
        raise NoProject(scope=_scope(vouched))
    roles = tuple(role for role in _text(vouched, "HTTP_X_ROLES").split(",") if role)
    return Identity(user_id=user_id, project_id=project, roles=roles)


def _noted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve as the application behind the middleware: whoever gets here has a token that is good."""
    environ[_VOUCHED] = True
    start_response("204 No Content", [])
    return ()


def _text(environ: Mapping[str, object], name: str) -> str:
    value = environ.get(name)
    return value if isinstance(value, str) else ""


def _scope(vouched: Mapping[str, object]) -> str:
    if _text(vouched, "HTTP_OPENSTACK_SYSTEM_SCOPE"):
        return "the whole system"
    return "a domain" if _text(vouched, "HTTP_X_DOMAIN_ID") else "nothing"


def _check(conf: cfg.ConfigOpts) -> None:
    """Look for what the middleware would miss only when the first token comes.

    Raises:
        KeystoneMisconfigured: naming it.
    """
    group = conf[GROUP]
    if not group.www_authenticate_uri:
        raise KeystoneMisconfigured(
            f"the option www_authenticate_uri of the group [{GROUP}] must be set: the address of Keystone for clients"
        )
    section = group.auth_section or GROUP
    if not conf[section].auth_type:
        raise KeystoneMisconfigured(
            f"the option auth_type of the group [{section}] must be set (password, say), and what it needs:"
            " how coffer itself logs in to Keystone"
        )
    client = "bmemcached" if group.memcache_tls_enabled or group.memcache_sasl_enabled else "memcache"
    if group.memcached_servers and importlib.util.find_spec(client) is None:
        raise KeystoneMisconfigured(
            f"memcached_servers of the group [{GROUP}] needs the Python module {client}, which is not installed"
        )
