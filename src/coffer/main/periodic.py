"""The periodic announcements that the operator has switched on, and the class that he names for one of them."""

import importlib

from oslo_config import cfg

from coffer.lifecycle.audits import ExistsAudit
from coffer.lifecycle.exists import Transformer
from coffer.lifecycle.quota_report import QuotaReport
from coffer.lifecycle.runs import Lifecycle
from coffer.main.quotas import quotas
from coffer.main.settings import SettingsError
from coffer.taskmanager.periodic import Chore

_OPTION = "exists_notification_transformer"


def chores(conf: cfg.ConfigOpts, lifecycle: Lifecycle) -> list[Chore]:
    """Return what is to be announced from time to time.

    Raises:
        SettingsError: if the class that the operator has named cannot be used.
    """
    found: list[Chore] = []
    if conf.exists_notification_transformer:
        maker = transformer(conf.exists_notification_transformer, conf.notification_service_id)
        found.append(ExistsAudit(lifecycle, maker, interval_s=conf.exists_notification_interval))
    if conf.quota_notification_interval > 0:
        found.append(QuotaReport(lifecycle, quotas(conf), interval_s=conf.quota_notification_interval))
    return found


def transformer(path: str, service_ids: dict[str, str]) -> Transformer:
    """Return an object of the class at `path`, such as `coffer.lifecycle.exists.Exists`.

    Raises:
        SettingsError: if there is no such class, or it is none of a transformer.
    """
    module_name, _, class_name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module_name), class_name)(service_ids=service_ids)
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise SettingsError(f"the option {_OPTION} names {path}, which cannot be loaded: {error}") from error
    if not isinstance(made, Transformer):
        raise SettingsError(
            f"the option {_OPTION} names {path}, which has no method values(instance, period)"
        )
    return made
