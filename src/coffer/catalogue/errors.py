"""Every failure that coffer can tell somebody about: a class is a row of data, no prose at the raise.

HTTP answers, RPC replies and `.error` events are made from these at the edges. A code, once published, is
never renamed or reused: error monitoring counts by it.
"""

# The names are the tenant's words for what happened (`DatabaseExists`); a docstring stands where the template
# does not say it all.
# ruff: noqa: N818, D101

import string
from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose failure it is: the caller's, or ours. In every `.error` event as the trait `fault`."""

    USER = "user"
    SYSTEM = "system"


class CofferError(Exception):
    """The root. A subclass sets the class variables; its instance carries only the template's data."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "instanceFault"
    """The key of Trove's error body (`{"itemNotFound": {"code": 404, ...}}`)."""
    fault: ClassVar[Fault] = Fault.SYSTEM
    template: ClassVar[str] = "The control plane failed; the operator finds the reason under this request id."

    def __init__(self, **data: object) -> None:
        """Keep `data` for the template.

        Raises:
            TypeError: if the template's fields and `data` differ (a programmer's error, caught by the tests).
        """
        fields = {name for _, name, _, _ in string.Formatter().parse(type(self).template) if name}
        if fields != data.keys():
            raise TypeError(f"{type(self).__name__} takes {sorted(fields)}, not {sorted(data)}")
        self.data = data
        super().__init__(self.template.format(**data))

    @property
    def message(self) -> str:
        """The sentence for a person; free of secrets as long as the data is."""
        return str(self)


class _UserError(CofferError):
    fault = Fault.USER


class BadRequest(_UserError):
    code, status, title = "bad_request", 400, "badRequest"
    template = "{reason}"


class Unauthorized(_UserError):
    code, status, title = "unauthorized", 401, "unauthorized"
    template = "The request is not authenticated."


class Forbidden(_UserError):
    code, status, title = "forbidden", 403, "forbidden"
    template = "The rule {rule} does not allow this call."


class NoProject(_UserError):
    """A token that is good, but in whose project nothing can be done, because it is for none."""

    code, status, title = "no_project", 403, "forbidden"
    template = "The token is for {scope}, not for a project; log in to a project."


class NotFound(_UserError):
    """A resource that is not there, or that is another project's (which must look the same)."""

    code, status, title = "not_found", 404, "itemNotFound"
    template = "{resource} {id} cannot be found."


class PayloadTooLarge(_UserError):
    code, status, title = "payload_too_large", 413, "overLimit"
    template = "The request body is larger than {limit} bytes."


class QuotaExceeded(_UserError):
    code, status, title = "quota_exceeded", 413, "overLimit"
    template = "Quota exceeded for resources: {resources}."


class WrongState(_UserError):
    """The instance is busy, broken, still being built or already going."""

    code, status, title = "wrong_state", 422, "unprocessableEntity"
    template = "Instance {id} is {state}; {operation} needs one of {allowed}."


class ServerNotRunning(_UserError):
    """What needs the database server was asked for while it is known to be down."""

    code, status, title = "server_not_running", 422, "unprocessableEntity"
    template = "The database server of instance {id} is {status}; restart the instance first."


class BackupNotCompleted(_UserError):
    code, status, title = "backup_not_completed", 409, "conflict"
    template = "Backup {id} is {state}; only a completed one can be restored or built upon."


class BackupBusy(_UserError):
    code, status, title = "backup_busy", 422, "unprocessableEntity"
    template = "Backup {id} is {state}; it can be deleted when that is over."


class BackupTooLarge(_UserError):
    code, status, title = "backup_too_large", 403, "forbidden"
    template = (
        "Backup {id} was made of a volume of {needed_gib} GiB, which does not fit into {volume_gib} GiB."
    )


class NotReplica(_UserError):
    code, status, title = "not_replica", 400, "badRequest"
    template = "Instance {id} is no replica."


class NoReplicas(_UserError):
    code, status, title = "no_replicas", 400, "badRequest"
    template = "Instance {id} has no replicas; only the source of replicas can be ejected."


class SourceAlive(_UserError):
    """An ejection loses what the source had not sent yet; while it lives there is a way that loses nothing."""

    code, status, title = "source_alive", 400, "badRequest"
    template = "Instance {id} is alive; promote one of its replicas instead."


class HasReplicas(_UserError):
    code, status, title = "has_replicas", 403, "forbidden"
    template = "Instance {id} has replicas; detach or delete them first."


class ReplicaOfReplica(_UserError):
    code, status, title = "replica_of_replica", 403, "forbidden"
    template = "Instance {id} is a replica itself; make a replica of its source {source_id}."


class ReplicaTooSmall(_UserError):
    code, status, title = "replica_too_small", 403, "forbidden"
    template = "A replica of instance {id} needs a volume of at least {needed_gib} GiB, not {volume_gib} GiB."


class ReplicaReadOnly(_UserError):
    code, status, title = "replica_read_only", 400, "badRequest"
    template = "Instance {id} is a replica, so its content follows its source; ask for it at {source_id}."


class DatabaseExists(_UserError):
    code, status, title = "database_exists", 400, "badRequest"
    template = "A database with the name {name} already exists."


class UserExists(_UserError):
    code, status, title = "user_exists", 400, "badRequest"
    template = "A user with the name {name} already exists."


class Reset(_UserError):
    """The tenant gave up what was under way."""

    code, status, title = "reset", 409, "conflict"
    template = "The operation {operation} was given up, because the status of the instance was reset."


class InvalidParameter(_UserError):
    """A parameter that is not offered, or a value that the parameter or the server does not take."""

    code, status, title = "invalid_parameter", 422, "unprocessableEntity"
    template = "{reason}"


class NotBuilt(_UserError):
    """An operation or route that coffer does not serve (yet): never a pretended success."""

    code, status, title = "not_implemented", 501, "notImplemented"
    template = "{what} is not implemented."


class _SystemError(CofferError):
    fault = Fault.SYSTEM


class GuestUnreachable(_SystemError):
    code, status, title = "guest_unreachable", 503, "serviceUnavailable"
    template = "The guest agent of instance {id} did not answer in {timeout_s} s."


class GuestFailed(_SystemError):
    """The database server, or the agent beside it, refused or broke."""

    code, status, title = "guest_failed", 500, "instanceFault"
    template = "{reason}"


class CloudFailed(_SystemError):
    """No place, no port, no disk, no permission: the reason is written for the tenant."""

    code, status, title = "cloud_failed", 500, "instanceFault"
    template = "{reason}"


class ConfigurationNotApplied(_SystemError):
    """The group is changed, and those of its instances that could not be told get it at their next restart."""

    code, status, title = "configuration_not_applied", 503, "serviceUnavailable"
    template = "The configuration group is changed, but not everywhere yet: {failures} Restart what is named."


class ReplicaNotFollowing(_SystemError):
    """The roles have changed for good; what is named has to be restarted, or deleted and made anew."""

    code, status, title = "replica_not_following", 500, "instanceFault"
    template = "Instance {source_id} is the source now, but these do not follow it: {replicas}."


class StorageFailed(_SystemError):
    """The storage of the backups did not take or give what it should: full, closed or lost."""

    code, status, title = "storage_failed", 500, "instanceFault"
    template = "{reason}"


class BackupDamaged(_SystemError):
    """What the storage gives is not what was put there."""

    code, status, title = "backup_damaged", 500, "instanceFault"
    template = "Backup {id} is damaged: {reason}."


class DispatchFailed(_SystemError):
    """The RPC broker did not take the task."""

    code, status, title = "dispatch_failed", 503, "serviceUnavailable"
    template = "The request could not be handed to the {service} service."


class EnrolmentFailed(_SystemError):
    """The guest could not be given an account or a key; without them nobody can speak to it."""

    code, status, title = "enrolment_failed", 503, "serviceUnavailable"
    template = "The guest agent of instance {id} could not be given access to the message broker."


class PeerTooOld(DispatchFailed):
    """In the middle of an upgrade: what is asked for needs a service that is not there yet."""

    code = "peer_too_old"
    template = "The {service} service speaks version {pin} until it is upgraded; {what} needs {version}."


class IdentityUnavailable(_SystemError):
    """Keystone does not answer, or does not let us ask: who calls is neither known nor refused."""

    code, status, title = "identity_unavailable", 503, "serviceUnavailable"
    template = "The identity service cannot be asked who is calling; try again later."


class DeadlineExceeded(_SystemError):
    code, status, title = "deadline_exceeded", 504, "gatewayTimeout"
    template = "{operation} did not finish within {deadline_s} s."


class OwnerDied(_SystemError):
    code, status, title = "owner_died", 500, "instanceFault"
    template = "The control plane stopped in the middle of {operation}."


def _all_errors(root: type[CofferError]) -> dict[str, type[CofferError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_all_errors(child))
    return found


ERRORS: dict[str, type[CofferError]] = _all_errors(CofferError)
"""Every error by its code; how a reply over RPC becomes an exception again, never by class path."""
