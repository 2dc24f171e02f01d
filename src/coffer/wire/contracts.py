"""The contracts between the services: topics, versions, methods.

The typed clients are beside: `taskmanager_client`, `conductor_client`, `guest_client`.

Changes add: a new method or an optional argument raises the minor version, and is a row of `added`. A message names
the least version that it needs (`versions`). A server skips arguments that it does not know, and a client gets
`not_implemented` for methods that the server does not have, or `peer_too_old` for what the operator has pinned.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coffer.wire.channel import Channel, ServedChannel
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcClient, RpcServer
from coffer.wire.versions import Added

Database = Mapping[str, JSON]
"""`{"name", "character_set"?, "collate"?}`"""
User = Mapping[str, JSON]
"""`{"name", "password", "host"?, "databases": [{"name"}]}`"""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a service promises: its topic, its version, and the methods that may be called from outside."""

    service: str
    topic: str
    version: str
    methods: frozenset[str]
    added: tuple[Added, ...] = ()
    """What came after version 1.0."""

    def client(self, transport: Channel, *, pin: str | None = None) -> RpcClient:
        """Return a client of whichever server of the topic is free; the oldest of them has the version `pin`."""
        return RpcClient(transport, topic=self.topic, service=self.service, added=self.added, pin=pin)

    def server(self, transport: ServedChannel, *, server: str, endpoint: object) -> RpcServer:
        """Return a stopped server; `server` tells the servers of the topic apart.

        Raises:
            TypeError: if `endpoint` lacks a method of the contract.
        """
        return RpcServer(
            transport,
            topic=self.topic,
            server=server,
            endpoint=endpoint,
            version=self.version,
            methods=self.methods,
        )


TASKMANAGER = Contract(
    service="taskmanager",
    topic="trove-taskmanager",
    version="1.0",
    methods=frozenset(
        {"create_instance", "restart_instance", "delete_instance", "resize_instance", "resize_volume"}
        | {"abandon_instance"}
        | {"restore_instance", "create_backup", "delete_backup"}
        | {"create_replica", "promote_instance", "eject_instance", "detach_instance"}
    ),
)
CONDUCTOR = Contract(
    service="conductor",
    topic="trove-conductor",
    version="1.1",
    methods=frozenset({"heartbeat", "notify_end", "notify_exc_info"}),
    # The door says it, not the guest: the number of the sealed message.
    added=(Added("1.1", "heartbeat", "order", is_dispensable=True),),
)

GUEST_SERVER = "guest"
"""Each guest has a topic of its own, so all its servers are called the same."""


def guest_contract(instance_id: str) -> Contract:
    """Return the contract of the guest agent of one instance."""
    return Contract(
        service="guest agent",
        topic=f"guestagent.{instance_id}",
        version="1.1",
        methods=frozenset(
            {
                "prepare",
                "restore",
                "create_backup",
                "create_database",
                "delete_database",
                "create_user",
                "delete_user",
                "update_attributes",
                "change_password",
                "grant_access",
                "revoke_access",
                "list_databases",
                "list_users",
                "get_user",
                "list_access",
                "enable_root",
                "disable_root",
                "is_root_enabled",
                "check_configuration",
                "apply_configuration",
                "resize",
                "resize_volume",
                "admit_replica",
                "dismiss_replica",
                "replicate",
                "follow",
                "demote",
                "promote",
                "detach",
                "replication",
                "take_credentials",
                "restart",
                "stop",
                "status",
            }
        ),
        added=(Added("1.1", "take_credentials"),),
    )
