"""Guests as strangers: what the services and the agents of a deployment on RabbitMQ speak to each other with.

In one process nobody is between the control plane and its agents, and none of this is used.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from oslo_config import cfg

from coffer.conductor.door import Door
from coffer.conductor.reports import Reports
from coffer.lifecycle.guest_channels import GuestChannels
from coffer.main.settings import SettingsError, understood
from coffer.store.database import Database
from coffer.taskmanager.enrolment import Enrolments, password_of
from coffer.wire import transport
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.broker_accounts import BrokerAccounts, management_of
from coffer.wire.guest_access import GuestAccess, account_of
from coffer.wire.sealed.control import SealedTransport

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Strangers:
    """What one process of the control plane needs to speak to guests that it does not trust."""

    settings: AmqpSettings
    book: GuestChannels
    access: GuestAccess
    transport: SealedTransport

    def door(self, reports: Reports) -> Door:
        """Return the conductor's door for them, closed."""
        return Door(self.settings, self.book, self.access, self.transport, reports)

    def enrolments(self, conf: cfg.ConfigOpts) -> Enrolments:
        """Return what makes guests known here and at the broker.

        Raises:
            SettingsError: if the broker's management cannot be used as it is set.
        """
        accounts = self._accounts(conf)

        def url(instance_id: str, keys: Sequence[bytes]) -> str:
            if accounts is None:
                return str(conf.transport_url)
            account, passwords = account_of(instance_id), [password_of(key) for key in keys]
            return str(transport.oslo().guest_url(conf, account, passwords))

        return Enrolments(self.book, url, accounts=accounts, queues=self.transport)

    def _accounts(self, conf: cfg.ConfigOpts) -> BrokerAccounts | None:
        if not conf.guests.broker_management_url:
            LOG.warning(
                "guests share the control plane's account at the broker: [guests] broker_management_url is not set"
            )
            return None
        with understood("[guests] broker_management_url"):
            management = management_of(
                conf.guests.broker_management_url, ca_file=conf.guests.broker_management_ca_file
            )
        return BrokerAccounts(management, self.access, virtual_host=self.settings.virtual_host)


def strangers_of(conf: cfg.ConfigOpts, database: Database, cleanup: contextlib.ExitStack) -> Strangers | None:
    """Return the way to guests that are strangers, closed with `cleanup`; None where RPC is not on RabbitMQ.

    Raises:
        SettingsError: if the secrets under which their keys are kept are not set, or are none.
    """
    with understood("transport_url"):
        if not transport.oslo().is_rpc_on_rabbitmq(conf):
            return None
        settings: AmqpSettings = transport.oslo().rpc_amqp_settings(conf)
    if not conf.guests.secrets:
        raise SettingsError(
            "the option secrets of the group [guests] must be set where transport_url names RabbitMQ, "
            "to the same for every service; make one with: coffer guests new-secret"
        )
    with understood("[guests] secrets"):
        book = GuestChannels(database, conf.guests.secrets)
    access = GuestAccess(conf.rpc_topic_prefix)
    sealed = SealedTransport(settings, book, access, send_timeout_s=conf.rpc_cast_timeout_s)
    cleanup.callback(sealed.close)
    return Strangers(settings, book, access, sealed)
