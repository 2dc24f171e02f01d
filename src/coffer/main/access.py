"""Who calls the API, and who may do what: the strategy and the rules that the configuration names."""

from oslo_config import cfg

from coffer.api.auth import Authenticator, NoAuth
from coffer.api.policy import Policy, PolicyUnusable, overrides_of
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
        return Keystone(conf, at_once=max(1, conf.api.threads // 2))
    except KeystoneMisconfigured as error:
        raise SettingsError(str(error)) from error


def policy(conf: cfg.ConfigOpts) -> Policy:
    """Return the rules, with the operator's in the place of ours; a relative path starts at the configuration file.

    Raises:
        SettingsError: if the operator's cannot be read.
    """
    try:
        return Policy(guards(), conf)
    except PolicyUnusable as error:
        raise SettingsError(str(error)) from error


def overrides(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Return the operator's rules, by name.

    Raises:
        SettingsError: if they cannot be read.
    """
    try:
        return overrides_of(conf)
    except PolicyUnusable as error:
        raise SettingsError(str(error)) from error


def check(conf: cfg.ConfigOpts) -> None:
    """Say what is wrong with either, before a process is made for it.

    Raises:
        SettingsError: with a sentence.
    """
    authenticator(conf)
    policy(conf)
