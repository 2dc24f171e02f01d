"""Gives a guest another key, and with it another password at the broker, while it goes on serving.

It is told under the key that it has. Both keys are valid until its first message under the new one; meanwhile it tries
both passwords. So whatever fails, and whenever, the guest still gets in, and doing it again completes it.
"""

import logging
from collections.abc import Callable

from coffer.catalogue.errors import CofferError
from coffer.store.errors import StoreError
from coffer.taskmanager.enrolment import Enrolments, password_of
from coffer.wire.broker_accounts import BrokerAccountsFailed
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.sealed.book import BookUnavailableError

LOG = logging.getLogger(__name__)


class RotationFailedError(Exception):
    """The guest goes on with what it has; a sentence for the operator."""


class Rotation:
    """Rotates the credentials of guests, one at a time."""

    def __init__(self, enrolments: Enrolments, guest: Callable[[str], GuestClient]) -> None:
        """Speak to the guests through `guest`."""
        self._enrolments = enrolments
        self._guest = guest

    def rotate(self, instance_id: str) -> int:
        """Give a guest other credentials; return the id of its new key.

        Raises:
            RotationFailedError: it has them not, or not all of them; do it again.
        """
        try:
            return self._rotate(instance_id)
        except (BrokerAccountsFailed, BookUnavailableError, StoreError, CofferError) as error:
            raise RotationFailedError(str(error)) from error

    def _rotate(self, instance_id: str) -> int:
        channels = self._enrolments.channels
        known = channels.keys(instance_id)
        if not known:
            raise RotationFailedError("it has no key; a taskmanager gives it one when it starts")
        # What an earlier attempt left: the broker takes the password that the guest knows for sure.
        self._admit(instance_id, known[min(known)])
        given = channels.begin_rotation(instance_id)
        self._tell(instance_id, channels.keys(instance_id))
        # Its answer came under the new key; so the others are forgotten already, unless this is a repetition.
        channels.complete_rotation(instance_id, given.key_id)
        self._admit(instance_id, given.key)
        if self._enrolments.accounts is not None:
            self._enrolments.accounts.disconnect(instance_id)
        # It comes back with the new password, and forgets the old ones.
        self._tell(instance_id, {given.key_id: given.key})
        LOG.info("credentials of a guest rotated instance_id=%s key_id=%s", instance_id, given.key_id)
        return given.key_id

    def _admit(self, instance_id: str, key: bytes) -> None:
        if self._enrolments.accounts is not None:
            self._enrolments.accounts.create(instance_id, password_of(key))

    def _tell(self, instance_id: str, keys: dict[int, bytes]) -> None:
        credentials = self._enrolments.credentials(instance_id, keys).to_json()
        self._guest(instance_id).take_credentials(TroveContext(overwrite=False), credentials)
