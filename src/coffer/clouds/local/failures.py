"""Failures of the machine, told twice: to the operator in the log with the path, to the tenant without it."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffer.catalogue.errors import CloudFailed

LOG = logging.getLogger(__name__)

_REASONS = {
    errno.ENOSPC: "There is no space left on the machine for the instance.",
    errno.EDQUOT: "There is no space left on the machine for the instance.",
    errno.EACCES: "The instance's directory cannot be written: the control plane lacks the permission.",
    errno.EPERM: "The instance's directory cannot be written: the control plane lacks the permission.",
    errno.EROFS: "The instance's directory cannot be written: the file system is read-only.",
    errno.ENOTDIR: "The instance's directory cannot be made: a file stands in its place.",
    errno.EEXIST: "The instance's directory cannot be made: a file stands in its place.",
    errno.EMFILE: "The machine has too many files open.",
    errno.ENFILE: "The machine has too many files open.",
    errno.EAGAIN: "The machine cannot start another process.",
    errno.ENOMEM: "There is no memory left on the machine for the instance.",
    errno.EIO: "The machine's disk failed.",
}


def reason_of(error: OSError) -> str:
    """Return the sentence for the tenant; it names no path."""
    known = _REASONS.get(error.errno or 0)
    return known or f"The machine could not make room for the instance ({type(error).__name__})."


@contextmanager
def told(instance_id: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the body into CloudFailed, and log what the tenant is not told.

    Raises:
        CloudFailed: the body failed at the machine.
    """
    try:
        yield
    except OSError as error:
        LOG.error("the machine refused instance_id=%s path=%s error=%s", instance_id, path, error)  # noqa: TRY400
        raise CloudFailed(reason=reason_of(error)) from error
