"""How a run failed, in the words of its `.error` event."""

from dataclasses import dataclass

from coffer.catalogue.errors import CofferError, Fault
from coffer.catalogue.trace import message_of, trace_of


@dataclass(frozen=True, slots=True)
class Failure:
    """Bounded, masked, ready to publish."""

    code: str
    fault: Fault
    message: str
    exception: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Describe `error`; what is not a CofferError is our failure and is not quoted."""
        known = error if isinstance(error, CofferError) else CofferError()
        return cls(code=known.code, fault=known.fault, message=message_of(error), exception=trace_of(error))
