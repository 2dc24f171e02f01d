"""Who calls the API, and who may do what: the strategy and the rules that the configuration names."""

from pathlib import Path

from oslo_config import cfg

from coffer.api.auth import Authenticator, NoAuth
from coffer.api.policy import Policy, PolicyUnusable
from coffer.api.routes import guards
from coffer.main.settings import SettingsError


def authenticator(conf: cfg.ConfigOpts) -> Authenticator:
    """Return the strategy that `auth_strategy` names; Keystone may be away.

    Raises:
        SettingsError: if it cannot work as configured.
    """
    if conf.auth_strategy == "noauth":
        return NoAuth(roles=tuple(conf.noauth_roles))
    # It brings half a second of imports, which only who needs it should wait for.
    from coffer.api.keystone import Keystone, KeystoneMisconfigured

    try:
        return Keystone(conf)
    except KeystoneMisconfigured as error:
        raise SettingsError(str(error)) from error


def policy(conf: cfg.ConfigOpts) -> Policy:
    """Return the rules, with the operator's in the place of ours; a relative path starts at the configuration file.

    Raises:
        SettingsError: if the operator's cannot be read.
    """
    directory = Path(conf.config_file[-1]).parent if conf.config_file else None
    try:
        return Policy(guards(), conf, directory=directory)
    except PolicyUnusable as error:
        raise SettingsError(str(error)) from error


def check(conf: cfg.ConfigOpts) -> None:
    """Say what is wrong with either, before a process is made for it.

    Raises:
        SettingsError: with a sentence.
    """
    authenticator(conf)
    policy(conf)
