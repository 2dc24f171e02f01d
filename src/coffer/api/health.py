"""`/healthz`: whether this process can serve. It needs no login, and tells nobody where anything is."""

from collections.abc import Mapping

from coffer.api.call import Answer
from coffer.api.services import Check


def health_answer(checks: Mapping[str, Check]) -> Answer:
    """Return 200 if all is well, 503 with a reason for each that is not."""
    reasons = {name: check() for name, check in checks.items()}
    is_well = not any(reasons.values())
    said: dict[str, object] = {
        name: {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
        for name, reason in reasons.items()
    }
    return Answer(200 if is_well else 503, {"status": "ok" if is_well else "unavailable", "checks": said})
