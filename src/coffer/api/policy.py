"""Who may do what: the only module that meets oslo.policy.

The rules are derived from the route table; an operator overrides them in a policy file, as everywhere in
OpenStack.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule by default: its name, the check, and the calls (method, path) that it guards."""

    name: str
    check: str
    description: str
    calls: tuple[tuple[str, str], ...]


class Policy:
    """Decides by the rules in force."""

    def __init__(self, guards: Sequence[Guard], conf: cfg.ConfigOpts | None = None) -> None:
        """Register `guards`; overrides come from the policy file that `conf` names."""
        if conf is None:
            conf = cfg.ConfigOpts()
            conf([], project="coffer", default_config_files=[], default_config_dirs=[])
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(rule_defaults(guards))
        self._enforcer.load_rules()

    def allows(self, rule: str, ctx: TroveContext) -> bool:
        """True if the caller may do what `rule` guards, in the project that he acts for."""
        who = {"user_id": ctx.user_id, "project_id": ctx.project_id, "roles": list(ctx.roles)}
        return bool(self._enforcer.authorize(rule, {"project_id": ctx.project_id}, who))

    def require(self, rule: str, ctx: TroveContext) -> None:
        """Let the caller pass.

        Raises:
            Forbidden: if he may not.
        """
        if not self.allows(rule, ctx):
            raise Forbidden(rule=rule)


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
