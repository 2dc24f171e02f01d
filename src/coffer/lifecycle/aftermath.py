"""What else becomes of a run's subject when the run fails, by operation, in the transaction of its `.error`.

An instance is moved by its operation's `move`; a subject that has states of its own has a row here, and so have
operations that hold more than one instance. What a call was refused for never gets here: then nothing had begun.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from coffer.catalogue.states import UNFINISHED, BackupState
from coffer.lifecycle import groups
from coffer.lifecycle.failures import Failure
from coffer.store import backups
from coffer.store.database import Tx
from coffer.store.runs import Run

Aftermath = Callable[[Tx, Run, Failure, datetime], None]


def of_failure(tx: Tx, run: Run, failure: Failure, now: datetime) -> None:
    """Do what belongs to the failure of a run that was open."""
    aftermath = ON_FAILURE.get(run.operation)
    if aftermath is not None:
        aftermath(tx, run, failure, now)


def _fail_backup(tx: Tx, run: Run, failure: Failure, now: datetime) -> None:
    """The backup that was being made is none."""
    fault = {"fault_message": failure.message}
    backups.move(tx, _backup_id(run), UNFINISHED, BackupState.FAILED, now, **fault)


def _fail_deletion(tx: Tx, run: Run, failure: Failure, now: datetime) -> None:
    """What was being deleted may be half gone, so it is no backup any more; deleting it again goes on."""
    fault = {"fault_message": failure.message}
    for backup in backups.family(tx, _backup_id(run)):
        backups.move(tx, backup.id, {BackupState.DELETING}, BackupState.DELETE_FAILED, now, **fault)


def _let_go(tx: Tx, run: Run, failure: Failure, now: datetime) -> None:
    """The others of a replication group are free again, in the roles that they have by now."""
    del failure
    groups.let_go(tx, run, now)


def _backup_id(run: Run) -> str:
    return str(json.loads(run.traits)["backup_id"])


ON_FAILURE: Mapping[str, Aftermath] = MappingProxyType(
    {
        "backup_create": _fail_backup,
        "backup_delete": _fail_deletion,
        **dict.fromkeys(groups.HOLDING, _let_go),
    }
)
"""Operations that a failure leaves more to do for than to move their instance."""
