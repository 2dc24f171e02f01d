"""Which versions of the API there are: the only calls that need no project."""

from coffer.api.call import Answer

UPDATED = "2012-08-01T00:00:00Z"
"""When Trove's v1.0 last changed; clients show it, nobody computes with it."""


def versions_answer(base_url: str, *, alone: bool) -> Answer:
    """Return the only version there is, `alone` or in the list of all."""
    version = {
        "id": "v1.0",
        "status": "CURRENT",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{base_url}/v1.0/"}],
    }
    return Answer(200, {"version": version} if alone else {"versions": [version]})
