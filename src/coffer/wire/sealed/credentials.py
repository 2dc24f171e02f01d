"""What the control plane gives to a guest so that the two can speak: `credentials.json` in the guest's directory.

Beside it lies `agent.conf`, an oslo.config file with what is no secret (report_interval, TLS, engines, backups). An
agent reads these two, `guest.json`, and nothing else of the control plane's. Whoever writes the file owns it (0600).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from coffer.wire.sealed.book import KEY_BYTES

FILE_NAME = "credentials.json"
CONFIG_NAME = "agent.conf"


class CredentialsInvalid(Exception):  # noqa: N818 - it states a condition
    """They are not what they should be; nothing of them is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The broker's account of one guest, and the keys of its channel by their ids; it sends under the highest."""

    instance_id: str
    transport_url: str = field(repr=False)
    keys: Mapping[int, bytes] = field(repr=False)

    def to_json(self) -> str:
        """Return the form in which they are kept and travel."""
        keys = {str(key_id): base64.b64encode(key).decode() for key_id, key in sorted(self.keys.items())}
        kept = {"instance_id": self.instance_id, "transport_url": self.transport_url, "keys": keys}
        return json.dumps(kept, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Credentials":
        """Read what was kept; entries that a newer version wrote are ignored.

        Raises:
            CredentialsInvalid: it is something else.
        """
        try:
            kept = json.loads(text)
            instance_id, url = kept["instance_id"], kept["transport_url"]
            keys = {int(key_id): base64.b64decode(key, validate=True) for key_id, key in kept["keys"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise CredentialsInvalid("the guest's credentials cannot be read") from None
        if not (isinstance(instance_id, str) and isinstance(url, str) and keys):
            raise CredentialsInvalid("the guest's credentials are incomplete")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise CredentialsInvalid("a key of the guest has another length")
        return cls(instance_id=instance_id, transport_url=url, keys=keys)
