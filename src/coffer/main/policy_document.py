"""`docs/policy.md`: every rule of the API, derived from the route table; says whether it is stale.

usage: python -m coffer.main.policy_document (--check | --write) [ROOT]
"""

import sys
from collections.abc import Sequence

from coffer.api.policy_text import markdown
from coffer.api.routes import guards
from coffer.main import settings_document
from coffer.main.settings_document import Derived

RULES = Derived("docs/policy.md", "the rules", "policy_document", lambda: markdown(guards()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write; return the exit status, 1 if the document is stale."""
    return settings_document.main(arguments, RULES)


if __name__ == "__main__":
    sys.exit(main())
