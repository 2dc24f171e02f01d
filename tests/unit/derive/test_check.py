"""A derived document that nobody wrote anew is found."""

from pathlib import Path

import pytest

from coffer.derive.check import DOCUMENTS, main, stale, write

ROOT = Path(__file__).parents[3]
NAME = "docs/notifications.md"


def test_the_documents_of_the_repository_are_fresh() -> None:
    assert stale(ROOT) == []


def test_writing_makes_everything_fresh(tmp_path: Path) -> None:
    assert stale(tmp_path) == list(DOCUMENTS)

    write(tmp_path)

    assert stale(tmp_path) == []


def test_a_stale_document_fails_the_check_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    document = tmp_path / NAME
    document.write_text(document.read_text().replace("instance_restart", "instance_reboot"))

    assert main([str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err == f"{NAME} is not what the catalogue says; run `make docs` and commit it\n"
    )


def test_the_option_write_mends_it(tmp_path: Path) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert main([str(tmp_path)]) == 0
