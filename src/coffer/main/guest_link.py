"""A guest agent's way to the control plane, where it is a stranger there."""

import contextlib
from dataclasses import replace
from pathlib import Path

from oslo_config import cfg

from coffer.guestagent.channel_book import GuestBook
from coffer.guestagent.trust import Renew
from coffer.main.settings import SettingsError, understood
from coffer.wire import transport
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.guest_access import GuestAccess
from coffer.wire.sealed.book import BookUnavailableError
from coffer.wire.sealed.credentials import Credentials, CredentialsInvalid
from coffer.wire.sealed.guest_link import GuestLink


def link_of(conf: cfg.ConfigOpts, guest_dir: Path, cleanup: contextlib.ExitStack) -> tuple[GuestLink, Renew]:
    """Return a guest's way to the control plane, closed with `cleanup`, by the credentials in its directory.

    Besides, what takes other credentials for it.

    Raises:
        SettingsError: if there are none that can be used.
    """
    try:
        book = GuestBook(guest_dir)
    except (OSError, CredentialsInvalid, BookUnavailableError) as error:
        raise SettingsError(f"the guest cannot prove itself: {error}") from error
    access = GuestAccess(conf.rpc_topic_prefix)
    with understood("the transport_url of the guest's credentials"):
        settings = _guest_settings(conf, book.credentials, access)
    link = GuestLink(
        settings,
        book,
        access,
        instance_id=book.credentials.instance_id,
        send_timeout_s=conf.rpc_cast_timeout_s,
    )
    cleanup.callback(link.close)

    def renew(credentials: Credentials) -> None:
        renewed = _guest_settings(conf, credentials, access)
        book.renew(credentials)
        link.renew(renewed)

    return link, renew


def _guest_settings(conf: cfg.ConfigOpts, credentials: Credentials, access: GuestAccess) -> AmqpSettings:
    """Return how a guest reaches the broker.

    Raises:
        ValueError: if it is no URL of a transport; it is not quoted.
    """
    conf.set_override("transport_url", credentials.transport_url)
    settings: AmqpSettings = transport.oslo().rpc_amqp_settings(conf)
    # A guest publishes to an exchange of its own kind, see GuestAccess.
    return replace(settings, exchange=access.exchange)
