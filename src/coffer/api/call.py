"""One call as a handler sees it, and the answer that it gives back; neither knows the HTTP library."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from coffer.api.paging import PageRequest, next_link, page_request
from coffer.api.policy import ADMIN_FIELDS
from coffer.api.services import Services
from coffer.api.validation import Body, read_body
from coffer.api.views.instances import Viewer
from coffer.api.views.links import Here
from coffer.catalogue.errors import NotFound
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, and a body unless there is nothing to say."""

    status: int
    body: Mapping[str, object] | None = None


ACCEPTED = Answer(202)


class Call(NamedTuple):
    """One authenticated and authorised call.

    `params` are the variable parts of the path, `query` is decoded once, `body` is what arrived.
    """

    services: Services
    ctx: TroveContext
    here: Here
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def read(self, kind: type[Body]) -> Body:
        """Return the body as a `kind`.

        Raises:
            BadRequest: with a sentence that names the field.
        """
        return read_body(self.body, kind)

    def page(self) -> PageRequest:
        """Return which page is asked for.

        Raises:
            BadRequest: if the limit makes no sense.
        """
        return page_request(self.query, maximum=self.services.settings.page_limit)

    def paged(self, body: dict[str, JSON], request: PageRequest, marker: str | None) -> dict[str, JSON]:
        """Return `body` with the link to the page after `marker`, if there is one."""
        if marker is None:
            return body
        url = self.here.base_url + quote(self.path)
        link: JSON = dict(next_link(url, self.query, request, marker))
        return {**body, "links": [link]}

    def instance(self) -> Instance:
        """Return the instance that the path names.

        Raises:
            NotFound: if there is none, if it is deleted, or if it is another project's.
        """
        wanted = self.params["instance_id"]
        found = None
        if is_uuid(wanted):
            with self.services.database.reading() as tx:
                found = instances.find(tx, self.project_id, wanted)
        if found is None:
            raise NotFound(resource="Instance", id=wanted)
        return found

    @property
    def project_id(self) -> str:
        """The project that the call is for."""
        return self.here.project_id

    def viewer(self) -> Viewer:
        """Return who looks at what the answer shows."""
        return Viewer(
            here=self.here,
            now=self.services.lifecycle.clock(),
            heartbeat_expiry_s=self.services.settings.heartbeat_expiry_s,
            is_admin=self.services.policy.allows(ADMIN_FIELDS, self.ctx),
        )


Handler = Callable[[Call], Answer]


def is_uuid(text: str) -> bool:
    """True for the canonical form of a UUID, which is the only form that we give out."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
