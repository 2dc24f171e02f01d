"""What `coffer guests` does: looks after keys and accounts of the guests, beside the services."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from coffer.lifecycle.guest_channels import GuestChannels
from coffer.main.settings import SettingsError, load, required, understood
from coffer.main.strangers import strangers_of
from coffer.store import guest_channels, instances, migrate
from coffer.store.database import Database
from coffer.store.guest_channels import GuestChannel
from coffer.store.instances import Instance
from coffer.taskmanager.enrolment import Enrolments, stays
from coffer.taskmanager.rotation import Rotation
from coffer.wire.broker_accounts import BrokerAccountsFailed
from coffer.wire.guest_client import GuestClient


class Account(StrEnum):
    """How a guest is known at the broker."""

    OWN = "own"
    SHARED = "shared"
    """All use the control plane's, since nobody said where the broker is managed."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """The broker's management does not answer."""


@dataclass(frozen=True, slots=True)
class Guest:
    """What is known of one guest's credentials; `key_id` is None if it has none."""

    instance_id: str
    name: str
    state: str
    seen_at: datetime | None
    account: Account
    key_id: int | None = None
    key_since: datetime | None = None
    is_rotating: bool = False
    received: int = 0
    """The highest number of its messages under this key."""

    @property
    def problem(self) -> str | None:
        """What an operator should see to, None if it is well."""
        if self.key_id is None:
            return f"The guest of instance {self.instance_id} has no key; the taskmanager of its machine gives it one."
        if self.account is Account.MISSING:
            return f"The guest of instance {self.instance_id} has no account at the broker; rotate it to make one."
        return None


class GuestAdmin:
    """Looks and rotates; use `administration` to get one."""

    def __init__(self, database: Database, enrolments: Enrolments, rotation: Rotation) -> None:
        """Work on these."""
        self._database = database
        self._enrolments = enrolments
        self.rotation = rotation

    @property
    def channels(self) -> GuestChannels:
        """The keys."""
        return self._enrolments.channels

    def guests(self) -> tuple[list[Guest], str | None]:
        """Return every guest, and why their accounts are not known if that is so."""
        accounts, trouble = self._accounts()
        with self._database.reading() as tx:
            enrolled = set(guest_channels.enrolled(tx))
            rows = [instances.get(tx, each) for each in sorted({*instances.live(tx), *enrolled})]
            found = [
                _guest(row, guest_channels.of_instance(tx, row.id), _account(row.id, accounts, trouble))
                for row in rows
                if row and (row.launched_at is not None or row.id in enrolled)
            ]
        return found, trouble

    def enrollable(self) -> list[str]:
        """Return the instances whose guests a taskmanager would enrol again."""
        with self._database.reading() as tx:
            rows = [instances.get(tx, each) for each in instances.live(tx)]
        return [row.id for row in rows if row and stays(row)]

    def enrol_again(self, instance_id: str) -> bool:
        """Believe a guest no more until the taskmanager of its machine has given it another key, in its next round.

        False, and nothing is done, if none would: there is no such instance, or it is being made or removed.
        """
        with self._database.reading() as tx:
            row = instances.get(tx, instance_id)
        if row is None or not stays(row):
            return False
        self.channels.remove(instance_id)
        return True

    def _accounts(self) -> tuple[frozenset[str] | None, str | None]:
        accounts = self._enrolments.accounts
        if accounts is None:
            return None, None
        try:
            return frozenset(accounts.owned()), None
        except BrokerAccountsFailed as error:
            return None, str(error)


def _guest(row: Instance, channels: Sequence[GuestChannel], account: Account) -> Guest:
    newest = channels[-1] if channels else None
    return Guest(
        instance_id=row.id,
        name=row.name,
        state=row.state,
        seen_at=row.service_seen_at,
        account=account,
        key_id=newest.key_id if newest else None,
        key_since=newest.created_at if newest else None,
        is_rotating=len(channels) > 1,
        received=newest.highest if newest else 0,
    )


def _account(instance_id: str, accounts: frozenset[str] | None, trouble: str | None) -> Account:
    if accounts is not None:
        return Account.OWN if instance_id in accounts else Account.MISSING
    return Account.SHARED if trouble is None else Account.UNKNOWN


@contextlib.contextmanager
def administration(config_files: Sequence[Path]) -> Iterator[GuestAdmin]:
    """Give what looks after the guests of the deployment that these files describe.

    Raises:
        SettingsError: if they do not describe one whose guests have keys.
        StoreError: if its database cannot be used.
    """
    conf = load(config_files)
    with contextlib.ExitStack() as cleanup:
        url = required(conf, "database", "connection")
        with understood("[database] connection"):
            if migrate.schema(url) is migrate.Schema.OLDER:
                raise SettingsError(
                    "the database has an older schema than this version; run: coffer db upgrade"
                )
            database = Database(url, pool_size=2)
        cleanup.callback(database.close)
        strangers = strangers_of(conf, database, cleanup)
        if strangers is None:
            raise SettingsError(
                "transport_url does not name RabbitMQ: nobody is between guests and control plane"
            )
        enrolments = strangers.enrolments(conf)
        pin = conf.upgrade_levels.guestagent
        rotation = Rotation(enrolments, lambda each: GuestClient(strangers.transport, each, pin=pin))
        yield GuestAdmin(database, enrolments, rotation)
