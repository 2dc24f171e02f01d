"""What an operator may set about the API; the composition root reads it from the configuration."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The API's options. The defaults are Trove's where Trove has them."""

    region: str = "RegionOne"
    default_datastore: str | None = None
    """The datastore of a create call that names none; without it, the only one there is."""
    max_volume_gib: int = 1024
    page_limit: int = 20
    """Items on a page: the default, and the most a client may ask for."""
    body_limit_bytes: int = 114_688
    heartbeat_expiry_s: float = 90.0
    """A guest that was silent for longer is shown as `operating_status` ERROR."""
