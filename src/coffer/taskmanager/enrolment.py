"""Makes guests known: a key, and an account at the broker, with the instance; gone with it.

Around the cloud, so that whoever has an instance made or removed, for whatever reason, has its guest enrolled or struck
off. The account's password follows from the key: what a guest is given can be said again, and is stored nowhere.
"""

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from coffer.catalogue.errors import CloudFailed, CofferError, EnrolmentFailed
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Cloud, Flavor, Server, ServerSpec
from coffer.lifecycle.guest_channels import GuestChannels
from coffer.store import instances
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.store.instances import Instance
from coffer.taskmanager.rounds import INTERVAL_S, Rounds
from coffer.wire.broker_accounts import BrokerAccountsFailed
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.sealed.book import BookUnavailableError
from coffer.wire.sealed.credentials import Credentials

LOG = logging.getLogger(__name__)

LEFTOVERS_INTERVAL_S = 300.0
_PURPOSE = b"coffer: password of the guest's account at the broker"

GuestUrl = Callable[[str, Sequence[bytes]], str]
"""Returns the `transport_url` of an instance's guest, whose account's password follows from one of the keys."""


class Accounts(Protocol):
    """The accounts at the broker; `coffer.wire.broker_accounts.BrokerAccounts` in production."""

    def create(self, instance_id: str, password: str) -> None:
        """Make an account, or change its password. Raises BrokerAccountsFailed."""

    def disconnect(self, instance_id: str) -> None:
        """Have a guest log in again. Raises BrokerAccountsFailed."""

    def remove(self, instance_id: str) -> None:
        """Remove an account. Raises BrokerAccountsFailed."""

    def owned(self) -> Sequence[str]:
        """Return the instances that have an account. Raises BrokerAccountsFailed."""

    def bound(self) -> None:
        """Bound what may wait from guests and for them. Raises BrokerAccountsFailed."""


class Queues(Protocol):
    """The guests' queues; `coffer.wire.sealed.control.SealedTransport` in production."""

    def remove(self, instance_id: str) -> None:
        """Delete a guest's queue. Raises NotDeliveredError."""


def password_of(key: bytes) -> str:
    """Return the password of an account whose guest has this key; it does not tell the key."""
    return base64.urlsafe_b64encode(hmac.digest(key, _PURPOSE, hashlib.sha256)).decode().rstrip("=")


class Enrolments:
    """Enrols guests and strikes them off; both may be done twice."""

    def __init__(
        self, channels: GuestChannels, url: GuestUrl, *, accounts: Accounts | None, queues: Queues
    ) -> None:
        """Keep keys in `channels`. Without `accounts` all guests log in as `url` says."""
        self.channels = channels
        self.accounts = accounts
        self._url = url
        self._queues = queues

    def enrol(self, instance_id: str) -> str:
        """Return the credentials of a guest, which exists for the broker and for us from now on.

        Raises:
            EnrolmentFailed: it does not yet; the log says why.
        """
        try:
            given = self.channels.enrol(instance_id)
            return self._admit(instance_id, {given.key_id: given.key})
        except (BrokerAccountsFailed, BookUnavailableError) as error:
            LOG.error("guest not enrolled instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400
            raise EnrolmentFailed(id=instance_id) from error

    def enrol_again(self, instance_id: str) -> str:
        """Return other credentials for a guest that has lost its own; those are of no use any more.

        Raises:
            EnrolmentFailed: the log says why.
        """
        self.enrol(instance_id)
        try:
            given = self.channels.begin_rotation(instance_id)
            self.channels.complete_rotation(instance_id, given.key_id)
            return self._admit(instance_id, {given.key_id: given.key})
        except (BrokerAccountsFailed, BookUnavailableError) as error:
            LOG.error("guest not enrolled again instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400
            raise EnrolmentFailed(id=instance_id) from error

    def credentials(self, instance_id: str, keys: dict[int, bytes]) -> Credentials:
        """Return what a guest is told that has these keys, the newest of which is its password at the broker."""
        newest_first = [keys[key_id] for key_id in sorted(keys, reverse=True)]
        return Credentials(
            instance_id=instance_id, transport_url=self._url(instance_id, newest_first), keys=keys
        )

    def strike_off(self, instance_id: str) -> bool:
        """Believe a guest no more, and take its account away; False if something is left, which the log says."""
        is_done = True
        steps: list[Callable[[str], object]] = [self.channels.remove]
        if self.accounts is not None:
            steps.append(self.accounts.remove)
        steps.append(self._queues.remove)
        for step in steps:
            try:
                step(instance_id)
            except (BrokerAccountsFailed, NotDeliveredError, StoreError) as error:
                LOG.warning("guest not struck off yet instance_id=%s reason=%s", instance_id, error)
                is_done = False
        return is_done

    def _admit(self, instance_id: str, keys: dict[int, bytes]) -> str:
        if self.accounts is not None:
            self.accounts.create(instance_id, password_of(keys[max(keys)]))
        return self.credentials(instance_id, keys).to_json()


class EnrollingCloud:
    """A `Cloud` around another one; guests are enrolled before they begin, and struck off at the end."""

    def __init__(self, cloud: Cloud, enrolments: Enrolments) -> None:
        """Have `cloud` do everything else."""
        self._cloud = cloud
        self._enrolments = enrolments

    def flavors(self) -> Sequence[Flavor]:
        """See `Cloud`."""
        return self._cloud.flavors()

    def zones(self) -> Sequence[str]:
        """See `Cloud`."""
        return self._cloud.zones()

    def create(self, spec: ServerSpec) -> Server:
        """See `Cloud`; also raises EnrolmentFailed."""
        try:
            credentials = self._enrolments.enrol(spec.instance_id)
            return self._cloud.create(replace(spec, credentials=credentials))
        except CofferError:
            if spec.instance_id not in self._cloud.owned():
                self._enrolments.strike_off(spec.instance_id)
            raise

    def resize(self, instance_id: str, flavor: Flavor) -> None:
        """See `Cloud`."""
        self._cloud.resize(instance_id, flavor)

    def resize_volume(self, instance_id: str, volume_gib: int) -> None:
        """See `Cloud`."""
        self._cloud.resize_volume(instance_id, volume_gib)

    def delete(self, instance_id: str) -> None:
        """See `Cloud`. What the broker does not let go of now is no reason to fail: `FormerGuests` sees to it."""
        self._cloud.delete(instance_id)
        self._enrolments.strike_off(instance_id)

    def halt(self, instance_id: str) -> None:
        """See `Cloud`."""
        self._cloud.halt(instance_id)

    def owned(self) -> Sequence[str]:
        """See `Cloud`."""
        return self._cloud.owned()

    def unentrusted(self) -> Sequence[str]:
        """See `Cloud`."""
        return self._cloud.unentrusted()

    def distrust(self, instance_id: str) -> None:
        """See `Cloud`."""
        self._cloud.distrust(instance_id)

    def entrust(self, instance_id: str, credentials: str) -> None:
        """See `Cloud`."""
        self._cloud.entrust(instance_id, credentials)

    def start_guests(self, instance_ids: Collection[str]) -> None:
        """See `Cloud`."""
        self._cloud.start_guests(instance_ids)

    def stop_guests(self) -> None:
        """See `Cloud`."""
        self._cloud.stop_guests()


class Unenrolled(Rounds):
    """A `Chore`: guests that were there before there were channels, or lost what they were given, are enrolled.

    Their agents are started anew for it. One that is being made is enrolled by whoever makes it. Each taskmanager does
    it for the instances of its own machine.
    """

    def __init__(
        self,
        database: Database,
        cloud: Cloud,
        enrolments: Enrolments,
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look every `interval_s` at what `cloud` has."""
        super().__init__(interval_s=interval_s, monotonic_s=monotonic_s)
        self._database = database
        self._cloud = cloud
        self._enrolments = enrolments

    def at_start(self) -> None:
        """Enrol all of them, one after the other; what does not work is tried again later."""
        for instance in self.find():
            self.see_to(instance)

    def find(self) -> Sequence[Instance]:
        """Return the instances whose guests cannot prove themselves."""
        try:
            here = self._cloud.owned()
            unentrusted = set(self._cloud.unentrusted())
        except CloudFailed as error:
            LOG.warning("guests not looked through reason=%s", error)
            return []
        enrolled = set(self._enrolments.channels.enrolled())
        strangers = [each for each in here if each in unentrusted or each not in enrolled]
        with self._database.reading() as tx:
            rows = [instances.get(tx, each) for each in strangers]
        return [row for row in rows if row and stays(row)]

    def see_to(self, instance: Instance) -> None:
        """Enrol one of them, and start its agent anew."""
        try:
            # First, so that it is found again if we are killed in between: with a key here, and an old one there.
            self._cloud.distrust(instance.id)
            self._cloud.entrust(instance.id, self._enrolments.enrol_again(instance.id))
        except CofferError as error:
            LOG.warning("guest not enrolled instance_id=%s reason=%s", instance.id, error)
            return
        LOG.info("guest enrolled instance_id=%s", instance.id)


class FormerGuests(Rounds):
    """A `Chore`: accounts of instances that are gone, left while the broker's management was away, are removed.

    Any number of taskmanagers may do it. An account of an instance that the database has never heard of is left alone:
    it may be another installation's, or it is the database that was lost.
    """

    def __init__(
        self,
        database: Database,
        enrolments: Enrolments,
        *,
        interval_s: float = LEFTOVERS_INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look every `interval_s`."""
        super().__init__(interval_s=interval_s, monotonic_s=monotonic_s)
        self._database = database
        self._enrolments = enrolments

    def find(self) -> Sequence[Instance]:
        """Return the instances that are gone, or never came, and still have a key or an account."""
        known = set(self._enrolments.channels.enrolled())
        if self._enrolments.accounts is not None:
            try:
                known.update(self._enrolments.accounts.owned())
            except BrokerAccountsFailed as error:
                LOG.warning("accounts of guests not looked through reason=%s", error)
        with self._database.reading() as tx:
            rows = [instances.get(tx, each) for each in sorted(known)]
        return [row for row in rows if row and _is_gone(row)]

    def see_to(self, instance: Instance) -> None:
        """Strike one of them off."""
        if self._enrolments.strike_off(instance.id):
            LOG.info("former guest struck off instance_id=%s", instance.id)


def stays(row: Instance) -> bool:
    """Return whether it is nobody's under way, to be made or to be removed."""
    return row.launched_at is not None and row.deleted_at is None and row.state != InstanceState.SHUTDOWN


def _is_gone(row: Instance) -> bool:
    never_came = row.state == InstanceState.ERROR and row.launched_at is None and row.host is None
    return row.deleted_at is not None or never_came
