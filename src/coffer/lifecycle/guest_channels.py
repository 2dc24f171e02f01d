"""The control plane's book of the guests' channels: who has which key, and which numbers were used.

Keys are kept wrapped under the operator's secrets, so that the database alone, or a copy of it, opens nothing.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from coffer.lifecycle.emitter import Clock, utcnow
from coffer.lifecycle.patience import Patience
from coffer.store import guest_channels
from coffer.store.database import Database, Tx
from coffer.store.errors import StoreError, StoreRefused
from coffer.store.guest_channels import GuestChannel
from coffer.wire.sealed.book import BookUnavailableError, NoChannelError, Outgoing
from coffer.wire.sealed.box import new_key
from coffer.wire.sealed.window import Window

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_HIGHEST_KEY_ID: Final = 2**31 - 1


def new_secret() -> str:
    """Return a secret for `[guests] secrets`."""
    return Fernet.generate_key().decode()


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A key that an instance has."""

    key_id: int
    key: bytes = field(repr=False)


class GuestChannels:
    """A `ChannelBook` in the control plane's database. Every number is a small transaction of its own."""

    def __init__(self, database: Database, secrets: Sequence[str], *, clock: Clock = utcnow) -> None:
        """Wrap keys under the first of `secrets`, and unwrap them with whichever fits.

        Raises:
            ValueError: there is no secret, or one is none; it is not quoted.
        """
        if not secrets:
            raise ValueError("there is none")
        try:
            self._wrapping = MultiFernet([Fernet(secret) for secret in secrets])
        except ValueError:
            raise ValueError(
                "a secret has not the form of one; make one with: coffer guests new-secret"
            ) from None
        self._database = database
        self._clock = clock
        # Only for what others were in the way of.
        self._patience = Patience(0.0)

    def outgoing(self, instance_id: str) -> Outgoing:
        """See `ChannelBook`. The oldest key is the one that the guest knows for sure."""

        def once() -> GuestChannel | None:
            with self._database.writing() as tx:
                found = guest_channels.of_instance(tx, instance_id, to_change=True)
                if not found:
                    return None
                guest_channels.note_sent(tx, found[0], found[0].sent + 1)
                return found[0]

        with _available():
            channel = self._patience.persist(once)
        if channel is None:
            raise NoChannelError(f"instance {instance_id} is not enrolled")
        return Outgoing(channel.key_id, self._unwrap(channel), channel.sent + 1)

    def key(self, instance_id: str, key_id: int) -> bytes | None:
        """See `ChannelBook`."""
        if key_id > _HIGHEST_KEY_ID:
            return None
        with _available(), self._database.reading() as tx:
            channel = guest_channels.get(tx, instance_id, key_id)
        try:
            return None if channel is None else self._unwrap(channel)
        except BookUnavailableError as error:
            # To wait for the operator would keep everybody else's messages waiting, behind that of this one.
            LOG.error("message of a guest cannot be opened reason=%s", error)  # noqa: TRY400
            return None

    def accept(self, instance_id: str, key_id: int, number: int) -> bool:
        """See `ChannelBook`. The first message under a new key is the end of those before it."""

        def once() -> bool:
            with self._database.writing() as tx:
                found = guest_channels.of_instance(tx, instance_id, to_change=True)
                channel = next((each for each in found if each.key_id == key_id), None)
                if channel is None:
                    return False
                window = Window.from_text(channel.highest, channel.seen).accept(number)
                if window is None:
                    return False
                guest_channels.note_received(tx, channel, window.highest, window.to_text())
                if found[0].key_id < key_id:
                    guest_channels.remove(tx, instance_id, before_key_id=key_id)
                    LOG.info("guest has taken its new key instance_id=%s key_id=%s", instance_id, key_id)
                return True

        with _available():
            return self._patience.persist(once)

    def enrol(self, instance_id: str) -> Enrolment:
        """Give an instance a key; one that has a key keeps it (the newest, if it is being changed).

        Raises:
            BookUnavailableError: not now.
        """

        def once() -> GuestChannel:
            with self._database.writing() as tx:
                found = guest_channels.of_instance(tx, instance_id, to_change=True)
                return found[-1] if found else self._add(tx, instance_id, 1)

        with _available():
            try:
                return self._enrolment(self._patience.persist(once))
            except StoreRefused:  # another enrolled it at the same moment: it has a key now
                return self._enrolment(self._patience.persist(once))

    def begin_rotation(self, instance_id: str) -> Enrolment:
        """Give an instance another key; the one before it is valid until the guest's first message under this one.

        Where that has not come yet, the same key is returned again.

        Raises:
            NoChannelError: it is not enrolled.
            BookUnavailableError: not now.
        """

        def once() -> GuestChannel | None:
            with self._database.writing() as tx:
                found = guest_channels.of_instance(tx, instance_id, to_change=True)
                if not found:
                    return None
                return found[-1] if len(found) > 1 else self._add(tx, instance_id, found[-1].key_id + 1)

        with _available():
            channel = self._patience.persist(once)
        if channel is None:
            raise NoChannelError(f"instance {instance_id} is not enrolled")
        return self._enrolment(channel)

    def complete_rotation(self, instance_id: str, key_id: int) -> None:
        """Forget every key before `key_id`, whether or not the guest has shown that it has the new one.

        Raises:
            BookUnavailableError: not now.
        """
        with _available():
            self._write(lambda tx: guest_channels.remove(tx, instance_id, before_key_id=key_id))

    def keys(self, instance_id: str) -> dict[int, bytes]:
        """Return the keys of an instance by their ids; two while a rotation is under way.

        Raises:
            BookUnavailableError: one was wrapped under a secret that is not among ours.
        """
        with self._database.reading() as tx:
            found = guest_channels.of_instance(tx, instance_id)
        return {channel.key_id: self._unwrap(channel) for channel in found}

    def remove(self, instance_id: str) -> bool:
        """Forget an instance: nothing of it is believed any more. False if it was not enrolled."""
        return self._write(lambda tx: guest_channels.remove(tx, instance_id))

    def enrolled(self) -> list[str]:
        """Return the ids of the instances that have a key."""
        with self._database.reading() as tx:
            return guest_channels.enrolled(tx)

    def rewrap(self) -> int:
        """Wrap every key under the first secret, so that the others can be thrown away; return how many there are.

        One instance a transaction: the others' messages go on meanwhile. It may be done again.

        Raises:
            BookUnavailableError: one was wrapped under a secret that is not among ours; the instances after it are not
                done then.
        """

        def change(tx: Tx, instance_id: str) -> int:
            channels = guest_channels.of_instance(tx, instance_id, to_change=True)
            for channel in channels:
                guest_channels.rewrap(tx, channel, self._wrap(self._unwrap(channel)))
            return len(channels)

        return sum(self._write(partial(change, instance_id=each)) for each in self.enrolled())

    def _add(self, tx: Tx, instance_id: str, key_id: int) -> GuestChannel:
        channel = GuestChannel(
            instance_id=instance_id,
            key_id=key_id,
            wrapped_key=self._wrap(new_key()),
            created_at=self._clock(),
        )
        guest_channels.insert(tx, channel)
        return channel

    def _write(self, change: Callable[[Tx], T]) -> T:
        def once() -> T:
            with self._database.writing() as tx:
                return change(tx)

        return self._patience.persist(once)

    def _enrolment(self, channel: GuestChannel) -> Enrolment:
        return Enrolment(channel.key_id, self._unwrap(channel))

    def _wrap(self, key: bytes) -> str:
        return self._wrapping.encrypt(key).decode()

    def _unwrap(self, channel: GuestChannel) -> bytes:
        try:
            return self._wrapping.decrypt(channel.wrapped_key)
        except InvalidToken:
            raise BookUnavailableError(
                f"[guests] secrets lack the one under which the key of instance {channel.instance_id} is kept"
            ) from None


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise BookUnavailableError(str(error)) from error
