"""How an error travels: its code and its data, never a class path."""

import logging

from coffer.catalogue.errors import ERRORS, CofferError
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)


def error_to_json(error: CofferError) -> dict[str, JSON]:
    """Return the form in which an error travels."""
    data: dict[str, JSON] = {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in error.data.items()
    }
    return {"code": error.code, "data": data}


def error_from_json(value: object) -> CofferError:
    """Return the error that travelled; what nobody here knows (a newer peer's, a stranger's) is ours."""
    code, data = (value.get("code"), value.get("data")) if isinstance(value, dict) else (None, None)
    if not isinstance(code, str) or not isinstance(data, dict):
        return CofferError()
    try:
        return ERRORS.get(code, CofferError)(**data)
    except TypeError:
        LOG.warning("rpc error is not as declared code=%r", code)
        return CofferError()
