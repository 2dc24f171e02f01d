"""The guests' accounts at RabbitMQ, and the bounds of their queues, through its management API.

A password leaves us as a salted hash, so it can stand in no log of the broker's or of a proxy's. What goes wrong is
told without the URL, which holds our own password. Every call may be done twice.
"""

import base64
import hashlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import requests

from coffer.wire.guest_access import GuestAccess, account_of, instance_of

LOG = logging.getLogger(__name__)

Told = TypeVar("Told", dict[str, Any], list[dict[str, Any]])

TIMEOUT_S = 5.0
"""For each single call: to connect, and between two pieces of an answer."""
MOST_CONNECTIONS = 16
"""Of one guest's account: an agent has up to five, and those of one that died may linger for a moment."""
MOST_CHANNELS = 32
"""Of one guest's account, in all its connections: an agent has one in each."""
CONDUCTOR_QUEUE_BYTES = 256 * 1024**2
"""What may wait from all guests; a broker without a bound lets any of them fill its disk."""
GUEST_QUEUE_BYTES = 64 * 1024**2
"""What may wait for one guest."""
_LONGEST_REASON = 200
_OK = range(200, 300)


class BrokerAccountsFailed(Exception):  # noqa: N818 — it states a condition, like the errors of the catalogue
    """The management API is away or refuses us; a sentence for the operator, without secrets."""


@dataclass(frozen=True, slots=True)
class Management:
    """Where the management API is, and who we are there: somebody with the tag `administrator`."""

    url: str
    user: str
    password: str = field(repr=False)
    ca_file: str | None = None
    timeout_s: float = TIMEOUT_S


def management_of(url: str, *, ca_file: str | None = None) -> Management:
    """Read `http[s]://USER:PASSWORD@HOST:PORT[/PREFIX]`.

    Raises:
        ValueError: if it is none; it is not quoted.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ValueError("its port is no number") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it must look like https://USER:PASSWORD@HOST:15671")
    if not parts.username or parts.password is None:
        raise ValueError("it names no user with a password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port is None else f"{host}:{port}"
    return Management(
        url=f"{parts.scheme}://{place}{parts.path.rstrip('/')}",
        user=unquote(parts.username),
        password=unquote(parts.password),
        ca_file=ca_file,
    )


class BrokerAccounts:
    """One account a guest, in one virtual host; safe from several threads."""

    def __init__(self, management: Management, access: GuestAccess, *, virtual_host: str = "/") -> None:
        """Make accounts with the rights that `access` names; nothing is asked yet."""
        self._management = management
        self._access = access
        self._virtual_host = virtual_host

    def create(self, instance_id: str, password: str) -> None:
        """Give a guest an account, or the one that it has another password; connections stay as they are.

        Raises:
            BrokerAccountsFailed: it is not complete; doing it again completes it.
        """
        account = account_of(instance_id)
        hashed = {
            "password_hash": _hashed(password),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "",
        }
        self._change("PUT", ["users", account], hashed)
        # The rights come last: until they are complete, the account can do less than it should, never more.
        place = [self._virtual_host, account]
        self._change("PUT", ["user-limits", account, "max-connections"], {"value": MOST_CONNECTIONS})
        self._change("PUT", ["user-limits", account, "max-channels"], {"value": MOST_CHANNELS})
        self._change("PUT", ["topic-permissions", *place], self._access.topic_permissions())
        self._change("PUT", ["permissions", *place], self._access.permissions(instance_id))
        LOG.info("broker account made instance_id=%s", instance_id)

    def bound(
        self, *, conductor_bytes: int = CONDUCTOR_QUEUE_BYTES, guest_bytes: int = GUEST_QUEUE_BYTES
    ) -> None:
        """Have the broker turn away what guests send, or are sent, beyond this; what was turned away is sent again.

        By policies, since the arguments of a queue that is there cannot be changed. An operator's own with a higher
        priority counts instead of them.

        Raises:
            BrokerAccountsFailed: not both of them are bounded.
        """
        bounds = {
            "coffer-conductor": (self._access.conductor_pattern, conductor_bytes),
            "coffer-guests": (self._access.guests_pattern, guest_bytes),
        }
        for name, (pattern, most_bytes) in bounds.items():
            policy = {
                "pattern": pattern,
                "apply-to": "queues",
                "definition": {"max-length-bytes": most_bytes, "overflow": "reject-publish"},
                "priority": 0,
            }
            self._change("PUT", ["policies", self._virtual_host, f"{self._access.prefix}{name}"], policy)

    def disconnect(self, instance_id: str) -> None:
        """Close the connections of a guest: it logs in again, with what is its password now.

        Raises:
            BrokerAccountsFailed: some may still be open.
        """
        self._change("DELETE", ["connections", "username", account_of(instance_id)])

    def remove(self, instance_id: str) -> None:
        """Remove a guest's account, its connections and its queue.

        Raises:
            BrokerAccountsFailed: something is left.
        """
        # The account first: what logs in between the other two would be left.
        self._change("DELETE", ["users", account_of(instance_id)])
        self.disconnect(instance_id)
        self._change("DELETE", ["queues", self._virtual_host, self._access.guest_queue(instance_id)])
        LOG.info("broker account removed instance_id=%s", instance_id)

    def owned(self) -> Sequence[str]:
        """Return the instances that have an account, of this installation or another one of the same broker.

        Raises:
            BrokerAccountsFailed: they cannot be listed.
        """
        rows = self._told(["users"], list, {"columns": "name"})
        names = (instance_of(str(row.get("name"))) for row in rows)
        return sorted(name for name in names if name is not None)

    def check(self) -> None:
        """See whether we may do what we must.

        Raises:
            BrokerAccountsFailed: we may not, or the API does not answer.
        """
        tags = self._told(["whoami"], dict).get("tags")
        names = tags.split(",") if isinstance(tags, str) else tags or []
        if "administrator" not in names:
            raise BrokerAccountsFailed(
                f"the account {self._management.user} of the management API lacks the tag administrator"
            )

    def _told(self, path: Sequence[str], kind: type[Told], params: dict[str, str] | None = None) -> Told:
        answer = self._ask("GET", path, params=params)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, kind):
            raise BrokerAccountsFailed(
                f"what answers at {self._management.url} is not RabbitMQ's management API"
            )
        return found

    def _change(self, method: str, path: Sequence[str], body: dict[str, Any] | None = None) -> None:
        self._ask(method, path, body=body)

    def _ask(
        self,
        method: str,
        path: Sequence[str],
        *,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> requests.Response:
        management = self._management
        what = f"{method} {'/'.join(path)}"
        try:
            with requests.Session() as session:
                # Neither ~/.netrc nor a proxy of the environment has a say in who we are and where we go.
                session.trust_env = False
                answer = session.request(
                    method,
                    "/".join([management.url, "api", *(quote(part, safe="") for part in path)]),
                    json=body,
                    params=params,
                    auth=(management.user, management.password),
                    timeout=management.timeout_s,
                    verify=management.ca_file or True,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            # Its text holds the URL and may hold more; the kind of the error says enough.
            raise BrokerAccountsFailed(
                f"RabbitMQ's management API at {management.url} does not answer: {type(error).__name__}"
            ) from None
        if answer.status_code in _OK or (method == "DELETE" and answer.status_code == HTTPStatus.NOT_FOUND):
            return answer
        raise BrokerAccountsFailed(_refusal(what, answer))


def _refusal(what: str, answer: requests.Response) -> str:
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return "RabbitMQ's management API does not know our account, or its password is another one"
    said = "".join(char for char in answer.text[:_LONGEST_REASON] if char.isprintable())
    return f"RabbitMQ's management API refuses {what}: {answer.status_code} {said}"


def _hashed(password: str) -> str:
    """Return what RabbitMQ stores: a salt of four bytes, then SHA-256 of salt and password.

    One round is enough for our passwords, which are random and long.
    """
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
