"""What a guest may say of its own run, and says otherwise than it should: it is taken, and disarmed."""

from typing import Any

from tests.support.attacks_by_frame import UGLY

LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "an error in the control plane's name": (
        "notify_exc_info",
        {"etype": "quota_exceeded", "value": {"message": "pay"}, "trace": ""},
    ),
    "text that steers a terminal": (
        "notify_exc_info",
        {"etype": "guest_failed", "value": {"message": UGLY, "data": {"reason": UGLY}}, "trace": UGLY},
    ),
    "secrets": (
        "notify_exc_info",
        {
            "etype": "guest_failed",
            "value": {"message": "login with password=hush-hush failed"},
            "trace": "postgresql://root:hush-hush@10.0.0.1/x",
        },
    ),
    "1 MiB of text": (
        "notify_exc_info",
        {"etype": "guest_failed", "value": {"message": "x" * 2**20}, "trace": "y" * 2**20},
    ),
    "everything of the wrong type": ("notify_exc_info", {"etype": [1], "value": 3.5, "trace": {"a": None}}),
    "a backup without a size": ("notify_end", {"traits": {"size_bytes": -1, "checksum": "0" * 64}}),
    "a backup with a size of another type": (
        "notify_end",
        {"traits": {"size_bytes": "1", "checksum": ["0" * 64]}},
    ),
    "a backup larger than numbers are": (
        "notify_end",
        {"traits": {"size_bytes": 2**70, "checksum": "0" * 64}},
    ),
    "another tenant": (
        "notify_end",
        {"traits": {"tenant_id": "honest", "run_id": "x", "instance_id": "y", "size_bytes": None}},
    ),
}
