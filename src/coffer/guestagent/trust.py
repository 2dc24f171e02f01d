"""What the agent proves itself with, given anew by the control plane under the key that it has."""

from collections.abc import Callable

from coffer.catalogue.errors import GuestFailed, NotBuilt
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON
from coffer.wire.sealed.book import BookUnavailableError
from coffer.wire.sealed.credentials import Credentials, CredentialsInvalid

Renew = Callable[[Credentials], None]
"""Keeps other credentials and uses them from now on. Raises BookUnavailableError; ValueError for a URL that is none."""


class Trust:
    """The call about credentials."""

    _instance_id: str
    _renew: Renew | None

    def take_credentials(self, ctx: TroveContext, credentials: JSON) -> None:
        """Use other credentials from now on, the answer to this call included; nothing changes if that fails."""
        del ctx
        if self._renew is None:
            raise NotBuilt(what="Taking credentials where nobody is between agent and control plane")
        try:
            given = Credentials.from_json(credentials if isinstance(credentials, str) else "")
            if given.instance_id != self._instance_id:
                raise GuestFailed(reason="The credentials are another instance's.")
            self._renew(given)
        except (CredentialsInvalid, BookUnavailableError, ValueError) as error:
            # Not the error's text: it might quote a password.
            raise GuestFailed(reason=f"The credentials cannot be taken ({type(error).__name__}).") from None
