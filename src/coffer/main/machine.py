"""What a process finds on its machine, by the configuration and the root of the local cloud there."""

from pathlib import Path

from oslo_config import cfg

from coffer.clouds.local.object_store import DirectoryStore
from coffer.clouds.local.settings import GIB
from coffer.clouds.object_store import ObjectStore
from coffer.datastores.driver import EngineSettings


def engines_of(conf: cfg.ConfigOpts, root: Path) -> EngineSettings:
    """Return where this machine has its database servers."""
    return EngineSettings(
        engines_dir=root / "engines",
        bin_dirs=tuple(Path(each) for each in conf.engines.bin_dirs),
        initialising_account=conf.engines.initialising_account,
        reserve_bytes=int(conf.local_cloud.min_free_gib * GIB),
    )


def objects_of(conf: cfg.ConfigOpts, root: Path) -> ObjectStore:
    """Return where the backups are kept."""
    return DirectoryStore(
        Path(conf.backups.root) if conf.backups.root else root / "backups",
        reserve_bytes=int(conf.local_cloud.min_free_gib * GIB),
    )
