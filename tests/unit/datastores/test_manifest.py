"""The manifest is caught whatever the sizes of the chunks and of the files around it."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.postgresql.manifest import ManifestCatcher


def archive(files: dict[str, bytes], *, form: int = tarfile.USTAR_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def caught(content: bytes, cut: int) -> bytes | None:
    catcher = ManifestCatcher()
    for start in range(0, len(content), cut):
        catcher.feed(content[start : start + cut])
    return catcher.manifest


@given(
    before=st.binary(max_size=3000), manifest=st.binary(min_size=1, max_size=3000), cut=st.integers(1, 4000)
)
def test_it_is_found_behind_and_before_other_files(before: bytes, manifest: bytes, cut: int) -> None:
    files = {"base/1": before, "backup_manifest.old": b"no", "backup_manifest": manifest, "last": b"z"}
    assert caught(archive(files), cut) == manifest


def test_none_is_none_and_half_of_one_is_none() -> None:
    assert caught(archive({"base/1": b"x" * 5000}), 512) is None
    whole = archive({"backup_manifest": b"m" * 5000})
    assert caught(whole[:3000], 512) is None


def test_a_size_may_be_binary() -> None:
    content = bytearray(archive({"backup_manifest": b"m" * 600}))
    content[124:136] = b"\x80" + (600).to_bytes(11, "big")
    assert caught(bytes(content), 100) == b"m" * 600


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ManifestCatcher().feed(b"x" * 512)
