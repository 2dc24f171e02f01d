"""The request context that travels over RPC and carries the run to whoever must end it.

It knows no transport. It never carries a token or a service catalogue: a guest reads what is in it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from oslo_context import context as oslo_context

from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What entitles and obliges its holder to end a run: the specification's "notification object"."""

    run_id: str
    operation: str

    def to_dict(self) -> dict[str, JSON]:
        """Return the form that travels."""
        return {"run_id": self.run_id, "operation": self.operation}

    @classmethod
    def from_json(cls, value: object) -> "Ticket | None":
        """Read what travelled; None for nothing, and for what is no ticket (an old peer's, a stranger's)."""
        if value is None:
            return None
        run_id, operation = (
            (value.get("run_id"), value.get("operation")) if isinstance(value, dict) else (None, None)
        )
        if not isinstance(run_id, str) or not isinstance(operation, str):
            LOG.warning("context carries a notification that is no ticket type=%s", type(value).__name__)
            return None
        return cls(run_id=run_id, operation=operation)


_TEXTS = ("user_id", "project_id", "request_id", "global_request_id")


class TroveContext(oslo_context.RequestContext):
    """Who asked for what, from where, and which run the holder has to end."""

    def __init__(
        self,
        *,
        notification: Ticket | None = None,
        client_ip: str = "",
        overwrite: bool = True,
        **fields: Any,
    ) -> None:
        """Take oslo.context's fields by keyword.

        `client_ip` is `ip:port` of the caller. With `overwrite` the context becomes the thread's current one,
        whose request id stands in the log lines.
        """
        self.notification = notification
        self.client_ip = client_ip
        super().__init__(overwrite=overwrite, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the form that travels over RPC: no token, no service catalogue, no names."""
        travelling: dict[str, Any] = {name: getattr(self, name) for name in _TEXTS}
        travelling["is_admin"] = bool(self.is_admin)
        travelling["roles"] = [str(role) for role in self.roles]
        travelling["client_ip"] = self.client_ip
        travelling["notification"] = self.notification.to_dict() if self.notification else None
        return travelling

    def get_logging_values(self) -> dict[str, Any]:
        """Return what a format of log lines may name. It is asked for more than once a line, so no more than that."""
        return {
            "request_id": self.request_id,
            "global_request_id": self.global_request_id,
            "user": self.user_id,
            "user_id": self.user_id,
            "project": self.project_id,
            "project_id": self.project_id,
            "is_admin": bool(self.is_admin),
            "roles": self.roles,
            "client_ip": self.client_ip,
            "notification": self.notification.to_dict() if self.notification else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **fields: Any) -> Self:
        """Read what travelled; unknown keys and wrong types are skipped, missing keys have defaults (G9)."""
        known: dict[str, Any] = {name: values[name] for name in _TEXTS if isinstance(values.get(name), str)}
        known["is_admin"] = values.get("is_admin") is True
        roles = values.get("roles")
        known["roles"] = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
        client_ip = values.get("client_ip")
        known["client_ip"] = client_ip if isinstance(client_ip, str) else ""
        known["notification"] = Ticket.from_json(values.get("notification"))
        return cls(**{**known, **fields})

    def for_notification(self) -> dict[str, JSON]:
        """Return what Ceilometer reads from a notification's context.

        `user_id` and `tenant` stand beside oslo.context's `user` and `project_id`: Ceilometer's default
        traits look for them.
        """
        return {
            "request_id": self.request_id,
            "global_request_id": self.global_request_id,
            "project_id": self.project_id,
            "tenant": self.project_id,
            "user_id": self.user_id,
            "user": self.user_id,
            "is_admin": bool(self.is_admin),
            "roles": [str(role) for role in self.roles],
        }

    def with_ticket(self, ticket: Ticket | None) -> Self:
        """Return a copy that carries `ticket`; the thread's current context stays what it is."""
        return type(self).from_dict(self.to_dict(), notification=ticket, overwrite=False)

    def for_project(self, project_id: str) -> Self:
        """Return a copy of an administrator's context that acts for the project whose things he works on."""
        return type(self).from_dict(self.to_dict(), project_id=project_id, overwrite=False)

    def redacted_copy(self, **fields: Any) -> Self:
        """Return a copy without secrets; oslo.messaging asks for it."""
        return type(self).from_dict(self.to_dict(), overwrite=False, **fields)
