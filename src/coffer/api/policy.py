"""Who may do what: the only module that meets oslo.policy.

The rules are derived from the route table; an operator overrides them in a policy file, as everywhere in
OpenStack.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg
from oslo_policy import opts, policy

from coffer.api.policy_files import PolicyFiles, PolicyUnusable
from coffer.catalogue.errors import Forbidden
from coffer.wire.context import TroveContext

__all__ = ["Guard", "Policy", "PolicyUnusable", "enforcer", "overrides_of", "problems", "rule_defaults"]

LOG = logging.getLogger(__name__)

ADMIN = "admin_required"
MEMBER = "project_member"
READER = "project_reader"
ADMIN_FIELDS = "instance:admin_fields"

_BASIS = (
    (ADMIN, "role:admin", "Administrators of the cloud."),
    (
        MEMBER,
        f"rule:{ADMIN} or (role:member and project_id:%(project_id)s)",
        "Who may change the project's things.",
    ),
    (
        READER,
        f"rule:{MEMBER} or (role:reader and project_id:%(project_id)s)",
        "Who may look at the project's things.",
    ),
    (ADMIN_FIELDS, f"rule:{ADMIN}", "Who sees the fields of an instance that are the operator's business."),
)

REMEMBERED_S = 2.0
"""How long a changed policy file may go unnoticed."""
REMEMBERED = 10_000
REFERENCE = re.compile(r"\brule:([\w:.-]+)")
NOBODY = "!"
CYCLIC = "refers to itself"
Question = tuple[str, str | None, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule by default: its name, the check, and the calls (method, path) that it guards."""

    name: str
    check: str
    description: str
    calls: tuple[tuple[str, str], ...]


class Policy:
    """Decides by the rules in force: ours, and in the place of some the operator's.

    A decision is remembered for a moment: finding one takes several times as long as the rest of a trivial call.
    Afterwards the operator's files are looked at: what he changes is in force without a restart, and what he breaks
    leaves the rules that he had.
    """

    def __init__(
        self,
        guards: Sequence[Guard],
        conf: cfg.ConfigOpts | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the rules of `guards`; overrides come from the files that [oslo_policy] of `conf` names.

        Relative paths start at the configuration file; without one there are no overrides.

        Raises:
            PolicyUnusable: if the operator's files cannot be used.
        """
        self._guards = guards
        self._conf = _private(conf)
        self._files = None if conf is None else _files(conf)
        self._signature = self._files.signature() if self._files else ()
        self._enforcer = self._read()
        self._clock = clock
        self._renewing = threading.Lock()
        self._decisions: dict[Question, bool] = {}
        self._forget_at = clock() + REMEMBERED_S

    def allows(self, rule: str, ctx: TroveContext) -> bool:
        """True if the caller may do what `rule` guards, in the project that he acts for."""
        question = (rule, ctx.user_id, ctx.project_id, tuple(ctx.roles))
        if self._clock() >= self._forget_at or len(self._decisions) >= REMEMBERED:
            self._renew()
        decisions = self._decisions
        if question not in decisions:
            decisions[question] = self._decide(rule, ctx)
        return decisions[question]

    def require(self, rule: str, ctx: TroveContext) -> None:
        """Let the caller pass.

        Raises:
            Forbidden: if he may not.
        """
        if not self.allows(rule, ctx):
            raise Forbidden(rule=rule)

    def _decide(self, rule: str, ctx: TroveContext) -> bool:
        who = {"user_id": ctx.user_id, "project_id": ctx.project_id, "roles": list(ctx.roles)}
        return bool(self._enforcer.authorize(rule, {"project_id": ctx.project_id}, who))

    def _renew(self) -> None:
        """Forget what was decided, and take over what the operator has changed; one thread does, others go on."""
        if not self._renewing.acquire(blocking=False):
            return
        try:
            self._forget_at = self._clock() + REMEMBERED_S
            signature = self._files.signature() if self._files else ()
            if signature != self._signature:
                self._signature = signature
                self._enforcer = self._read()
                LOG.info("policy read anew file=%s", self._files.file if self._files else "")
        except PolicyUnusable as error:
            LOG.error("policy not changed, the rules from before stay in force: %s", error)  # noqa: TRY400 - it says all
        finally:
            # Last: a decision by the rules from before must not outlive them.
            self._decisions = {}
            self._renewing.release()

    def _read(self) -> policy.Enforcer:
        overrides = self._files.read() if self._files else {}
        for problem in problems(self._guards, overrides):
            if problem.endswith(CYCLIC):
                raise PolicyUnusable(problem)  # asking it would never come to an end
            LOG.warning("policy: %s", problem)
        return enforcer(self._guards, overrides, self._conf)


def enforcer(
    guards: Sequence[Guard], overrides: Mapping[str, str], conf: cfg.ConfigOpts | None = None
) -> policy.Enforcer:
    """Return what decides by the rules of `guards`, `overrides` in the place of those with their names."""
    made = policy.Enforcer(conf or _private(None))
    defaults = rule_defaults(guards)
    made.register_defaults(defaults)
    rules = {default.name: default.check_str for default in defaults} | dict(overrides)
    made.set_rules(policy.Rules.from_dict(rules), use_conf=False)
    return made


def problems(guards: Sequence[Guard], overrides: Mapping[str, str]) -> list[str]:
    """Return what is wrong with an operator's rules, in sentences; a rule that is none refuses everybody."""
    known = {default.name: default.check_str for default in rule_defaults(guards)}
    checks = {**known, **overrides}
    named = {name for check in checks.values() for name in REFERENCE.findall(check)}
    found = [
        f"the check of the rule {name} cannot be understood, so it refuses everybody: {check}"
        for name, check in overrides.items()
        if check.strip() != NOBODY and str(policy.RuleDefault(name, check).check) == NOBODY
    ]
    found += [
        f"nothing is guarded by the rule {name}" for name in overrides if name not in known.keys() | named
    ]
    found += [
        f"the rule {name} refers to the rule {each}, which there is not"
        for name, check in overrides.items()
        for each in REFERENCE.findall(check)
        if each not in checks
    ]
    return [*found, *(f"the rule {name} {CYCLIC}" for name in checks if _is_cyclic(name, checks))]


def _is_cyclic(rule: str, checks: Mapping[str, str]) -> bool:
    seen: set[str] = set()
    ahead = [rule]
    while ahead:
        for name in REFERENCE.findall(checks.get(ahead.pop(), "")):
            if name == rule:
                return True
            if name not in seen:
                seen.add(name)
                ahead.append(name)
    return False


def overrides_of(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Return the operator's rules.

    Raises:
        PolicyUnusable: if his files cannot be used.
    """
    files = _files(conf)
    return files.read() if files else {}


def _private(conf: cfg.ConfigOpts | None) -> cfg.ConfigOpts:
    """Return a configuration that names no files: oslo.policy would look for them at home and in /etc."""
    own = cfg.ConfigOpts()
    own([], project="coffer", default_config_files=[], default_config_dirs=[])
    opts.set_defaults(own)
    if conf is not None:
        opts.set_defaults(conf)
        for name in conf.oslo_policy:
            own.set_override(name, conf.oslo_policy[name], group="oslo_policy")
    return own


def _files(conf: cfg.ConfigOpts) -> PolicyFiles | None:
    """Return the operator's files.

    Raises:
        PolicyUnusable: if he names one that is not there.
    """
    if not conf.config_file:
        return None
    directory = Path(conf.config_file[-1]).parent
    opts.set_defaults(conf)
    file = directory / conf.oslo_policy.policy_file
    location = conf.get_location("policy_file", group="oslo_policy")
    is_named = location is not None and location.location.is_user_controlled
    if is_named and not file.is_file():
        raise PolicyUnusable(f"the policy file {file} is not there")
    directories = tuple(directory / each for each in conf.oslo_policy.policy_dirs)
    return PolicyFiles(file, directories, is_named=is_named)


def rule_defaults(guards: Sequence[Guard]) -> list[policy.RuleDefault]:
    """Return the rules as oslo.policy wants them, for the enforcer and for the sample file."""
    basis = [policy.RuleDefault(name, check, description=text) for name, check, text in _BASIS]
    derived = [
        policy.DocumentedRuleDefault(
            guard.name,
            guard.check,
            guard.description,
            [{"method": method, "path": path} for method, path in guard.calls],
        )
        for guard in guards
    ]
    return [*basis, *derived]
