"""`auth_strategy = keystone`: the only module that meets keystonemiddleware.

The middleware stands beside the application, not around it: it is shown the token of a request and nothing else that
the client sent, so that no header of the client's can be mistaken for one that the middleware vouches for; and what
it refuses is answered in our form, by us.
"""

import importlib.util
import io
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from wsgiref.types import StartResponse, WSGIEnvironment

from keystoneauth1 import exceptions, loading
from keystonemiddleware import auth_token
from keystonemiddleware.exceptions import ConfigurationError
from oslo_config import cfg

from coffer.api.auth import Identity
from coffer.catalogue.errors import IdentityUnavailable, NoProject, Unauthorized

LOG = logging.getLogger(__name__)

GROUP = "keystone_authtoken"
DEFAULTS = {"service_type": "database", "http_connect_timeout": 10, "http_request_max_retries": 1}
"""Where ours are others than the middleware's, whose own let a thread wait for a frozen Keystone without an end."""

REMEMBERED = 2_000
"""Tokens; the answer of Keystone with its service catalogue has some 10 kB."""
_CACHE = "coffer.tokens"
_VOUCHED = "coffer.vouched"
_KEPT = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme")
"""What the middleware sees beside the token: the access rules of an application credential name method and path."""


class KeystoneMisconfigured(Exception):  # noqa: N818 - it is what it says
    """[keystone_authtoken] cannot be used; a sentence for the operator."""


class Keystone:
    """The strategy: who has a valid token for a project acts for that project, with the roles of the token."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Take the options of [keystone_authtoken], which are registered on `conf`; Keystone may be away.

        Raises:
            KeystoneMisconfigured: if Keystone could never be asked with them.
        """
        register(conf)
        _check(conf)
        self._tokens = Tokens()
        # Only so can a token that is refused be told from one that nobody could look at.
        overrides: dict[str, object] = {"delay_auth_decision": False}
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
        vouched = self._vouched(environ)
        user_id, project = _text(vouched, "HTTP_X_USER_ID"), _text(vouched, "HTTP_X_PROJECT_ID")
        if not user_id:
            raise Unauthorized
        if not project:
            raise NoProject(scope=_scope(vouched))
        roles = tuple(role for role in _text(vouched, "HTTP_X_ROLES").split(",") if role)
        return Identity(user_id=user_id, project_id=project, roles=roles)

    def _vouched(self, environ: Mapping[str, object]) -> Mapping[str, object]:
        """Return what the middleware says about the token of a request.

        Raises:
            Unauthorized: if it refuses the token.
            IdentityUnavailable: if it cannot know.
        """
        token = environ.get("HTTP_X_AUTH_TOKEN")
        if not token:
            raise Unauthorized
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


class Tokens:
    """What Keystone said about the tokens of late, for all threads: the middleware's cache, with an upper bound.

    The middleware has one of its own for where no memcached is named; it never forgets what is not asked for again.
    """

    def __init__(self, limit: int = REMEMBERED, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember `limit` answers; those that were asked for longest ago go first."""
        self._limit = limit
        self._clock = clock
        self._answers: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return the answer about the token with this digest, while it holds."""
        with self._lock:
            until, answer = self._answers.get(key, (0.0, b""))
            if self._clock() >= until:
                self._answers.pop(key, None)
                return None
            self._answers.move_to_end(key)
            return answer

    def set(self, key: str, value: bytes, time: float) -> None:
        """Remember an answer for `time` seconds; not at all if that is none or less."""
        if time <= 0:
            return
        with self._lock:
            self._answers[key] = (self._clock() + time, value)
            self._answers.move_to_end(key)
            while len(self._answers) > self._limit:
                self._answers.popitem(last=False)


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options of [keystone_authtoken] known to `conf`, with our defaults."""
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
    for name, value in DEFAULTS.items():
        conf.set_default(name, value, group=GROUP)
    loading.register_auth_conf_options(conf, conf[GROUP].auth_section or GROUP)


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
    if not group.auth_section and not group.auth_type:
        raise KeystoneMisconfigured(
            f"the option auth_type of the group [{GROUP}] must be set (password, say), and what it needs:"
            " how coffer itself logs in to Keystone"
        )
    client = "bmemcached" if group.memcache_tls_enabled or group.memcache_sasl_enabled else "memcache"
    if group.memcached_servers and importlib.util.find_spec(client) is None:
        raise KeystoneMisconfigured(
            f"memcached_servers of the group [{GROUP}] needs the Python module {client}, which is not installed"
        )
