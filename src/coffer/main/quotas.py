"""The operator's quotas, from the configuration."""

from oslo_config import cfg

from coffer.catalogue.resources import Resource
from coffer.lifecycle.quotas import Quotas


def quotas(conf: cfg.ConfigOpts) -> Quotas:
    """Return the quotas, with the operator's limits for projects that have no others."""
    return Quotas(
        {
            Resource.INSTANCES: conf.max_instances_per_tenant,
            Resource.RAM: conf.max_ram_per_tenant,
            Resource.VOLUMES: conf.max_volumes_per_tenant,
            Resource.BACKUPS: conf.max_backups_per_tenant,
        }
    )
