"""Who may do what: the only module that meets oslo.policy.

The rules are derived from the route table; an operator overrides them in a policy file, as everywhere in
OpenStack.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oslo_config import cfg
from oslo_policy import policy

from coffer.catalogue.errors import Forbidden
from coffer.wire.context import TroveContext

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
Question = tuple[str, str | None, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule by default: its name, the check, and the calls (method, path) that it guards."""

    name: str
    check: str
    description: str
    calls: tuple[tuple[str, str], ...]


class Policy:
    """Decides by the rules in force.

    A decision is remembered for a moment: finding one takes several times as long as the rest of a trivial call.
    """

    def __init__(
        self,
        guards: Sequence[Guard],
        conf: cfg.ConfigOpts | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Register `guards`; overrides come from the policy file that `conf` names, without `conf` there are none."""
        defaults = rule_defaults(guards)
        self._enforcer = policy.Enforcer(conf or _no_conf())
        self._enforcer.register_defaults(defaults)
        if conf is None:
            # Else oslo.policy would look for a policy.yaml in the home directory and in /etc.
            rules = policy.Rules.from_dict({default.name: default.check_str for default in defaults})
            self._enforcer.set_rules(rules, use_conf=False)
        self._clock = clock
        self._decisions: dict[Question, bool] = {}
        self._forget_at = clock() + REMEMBERED_S

    def allows(self, rule: str, ctx: TroveContext) -> bool:
        """True if the caller may do what `rule` guards, in the project that he acts for."""
        question = (rule, ctx.user_id, ctx.project_id, tuple(ctx.roles))
        if self._clock() >= self._forget_at or len(self._decisions) >= REMEMBERED:
            self._decisions = {}
            self._forget_at = self._clock() + REMEMBERED_S
        decisions = self._decisions
        if question not in decisions:
            decisions[question] = self._decide(rule, ctx)
        return decisions[question]

    def _decide(self, rule: str, ctx: TroveContext) -> bool:
        who = {"user_id": ctx.user_id, "project_id": ctx.project_id, "roles": list(ctx.roles)}
        return bool(self._enforcer.authorize(rule, {"project_id": ctx.project_id}, who))

    def require(self, rule: str, ctx: TroveContext) -> None:
        """Let the caller pass.

        Raises:
            Forbidden: if he may not.
        """
        if not self.allows(rule, ctx):
            raise Forbidden(rule=rule)


def _no_conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], project="coffer", default_config_files=[], default_config_dirs=[])
    return conf


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
