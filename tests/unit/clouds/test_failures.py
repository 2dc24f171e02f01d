"""What a tenant is told of a failure of the machine."""

import errno
import logging
from pathlib import Path

import pytest

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local.failures import told


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EACCES, "lacks the permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file stands in its place"),
        (errno.EINVAL, "could not make room"),
    ],
)
def test_the_tenant_hears_what_failed_and_the_operator_where(
    number: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path("/srv/coffer/instances/i-1")
    with caplog.at_level(logging.ERROR), pytest.raises(CloudFailed, match=said) as failed, told("i-1", path):
        raise OSError(number, "it failed", str(path))
    assert "/srv" not in failed.value.message
    assert str(path) in caplog.text
    assert "instance_id=i-1" in caplog.text


def test_a_failure_that_is_told_already_passes() -> None:
    with pytest.raises(CloudFailed, match="no port"), told("i-1", Path("/x")):
        raise CloudFailed(reason="no port")
