"""The links of a resource, and moments as the bodies show them."""

from datetime import UTC, datetime
from typing import NamedTuple

from coffer.wire.json import JSON


class Here(NamedTuple):
    """Where the client found us, so that links lead back the same way.

    `base_url` has the scheme that the request came with. Trove always writes https, which leads nowhere on a
    loopback without TLS; behind a proxy that ends TLS the proxy's headers set the scheme before we see it.
    """

    base_url: str
    project_id: str

    def url(self, path: str) -> str:
        """Return the full URL of a path below the project."""
        return f"{self.base_url}/v1.0/{self.project_id}/{path}"

    def links(self, path: str) -> list[JSON]:
        """Return the two links that every resource has."""
        return [
            {"rel": "self", "href": self.url(path)},
            {"rel": "bookmark", "href": f"{self.base_url}/{path}"},
        ]


def moment(when: datetime) -> str:
    """Return a moment in UTC without zone and microseconds, as Trove's bodies have it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
