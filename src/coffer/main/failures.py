"""What keeps a process from starting and an operator can mend; it is told in a sentence, without a traceback."""

from coffer.catalogue.errors import CofferError
from coffer.clouds.cloud import CloudMisconfigured
from coffer.clouds.local.guest_config import GuestConfigInvalid
from coffer.collector.database import CollectorDatabaseError
from coffer.main.http import CannotListenError
from coffer.main.settings import SettingsError
from coffer.main.state_dir import StateDirError
from coffer.store.errors import StoreError
from coffer.wire.delivery import NotDeliveredError

EXPECTED = (
    CannotListenError,
    CloudMisconfigured,
    CofferError,
    CollectorDatabaseError,
    GuestConfigInvalid,
    NotDeliveredError,
    SettingsError,
    StateDirError,
    StoreError,
)
