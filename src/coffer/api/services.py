"""What the API works with; the composition root builds one and gives it to `build_app`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from coffer.api.auth import Authenticator
from coffer.api.policy import Policy
from coffer.api.settings import ApiSettings
from coffer.clouds.cloud import Cloud
from coffer.datastores.registry import Registry
from coffer.lifecycle.quotas import Quotas
from coffer.lifecycle.runs import Lifecycle
from coffer.store.database import Database
from coffer.wire.guest_client import GuestClient
from coffer.wire.taskmanager_client import TaskmanagerClient

Check = Callable[[], str | None]
"""Says what is wrong, without details and within seconds; None if nothing is."""


@dataclass(frozen=True, slots=True)
class Services:
    """The ports behind the API.

    `guest` gives the client of an instance's guest agent; of `cloud` only the flavors are asked; `checks` is what
    `/healthz` asks, by the names that it answers with.
    """

    database: Database
    lifecycle: Lifecycle
    taskmanager: TaskmanagerClient
    guest: Callable[[str], GuestClient]
    cloud: Cloud
    datastores: Registry
    authenticator: Authenticator
    policy: Policy
    settings: ApiSettings = field(default_factory=ApiSettings)
    quotas: Quotas = field(default_factory=Quotas)
    checks: Mapping[str, Check] = field(default_factory=dict)
