"""Who is calling: the authentication strategies, from the WSGI environment to an identity."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from coffer.catalogue.errors import BadRequest, Forbidden

USER_ID = re.compile(r"[\x21-\x7e]{1,64}")


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller as the authentication knows him. `project_id` is the project that he acts for."""

    user_id: str
    project_id: str
    roles: tuple[str, ...]


class Authenticator(Protocol):
    """A strategy; `auth_strategy` names one."""

    @property
    def challenge(self) -> str | None:
        """What a 401 says in WWW-Authenticate, if the strategy has an answer to it."""
        ...

    def identify(self, environ: Mapping[str, object], project_id: str) -> Identity:
        """Return who calls; `project_id` is the one of the URL, which the caller may or may not act for.

        Raises:
            CofferError: Unauthorized or Forbidden.
        """
        ...

    def knows(self, environ: Mapping[str, object]) -> bool:
        """Return whether `identify` needs to wait for nobody, to say who calls or to refuse him."""
        ...


class NoAuth:
    """`auth_strategy = noauth`: everybody on this machine acts for the project of his URL.

    Only the loopback is served. The Host header must name it too: a page in a browser on this machine could
    otherwise reach the API under a name that it has pointed to 127.0.0.1.
    """

    challenge = None

    def __init__(self, *, roles: tuple[str, ...] = ("member", "reader")) -> None:
        """Give every caller `roles`."""
        self._roles = roles

    def identify(self, environ: Mapping[str, object], project_id: str) -> Identity:
        """Return the caller with the user id of the header X-User-Id, `noauth` without it."""
        remote = str(environ.get("REMOTE_ADDR", ""))
        if not _is_loopback(remote) or not _names_loopback(str(environ.get("HTTP_HOST", "localhost"))):
            raise Forbidden(rule="auth_strategy=noauth (loopback only)")
        user_id = str(environ.get("HTTP_X_USER_ID", "noauth"))
        if not USER_ID.fullmatch(user_id):
            raise BadRequest(reason="X-User-Id must have 1 to 64 visible ASCII characters.")
        return Identity(user_id=user_id, project_id=project_id, roles=self._roles)

    def knows(self, environ: Mapping[str, object]) -> bool:  # noqa: ARG002 - everybody is
        """Return True."""
        return True


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    # A socket that listens for both families shows IPv4 callers in IPv6's form.
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


@lru_cache(maxsize=256)
def _names_loopback(host: str) -> bool:
    name = re.sub(r":\d+$", "", host)
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)
