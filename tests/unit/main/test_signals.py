"""What a SIGHUP may change, and what it must leave alone."""

from pathlib import Path

import pytest

from coffer.main import access
from coffer.main.settings import load
from coffer.main.signals import reload


@pytest.mark.parametrize("broken", ["auth_strategy = keystone", "[oslo_policy]\npolicy_file = nowhere.yaml"])
def test_files_with_which_the_api_could_not_start_change_nothing(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "coffer.conf"
    file.write_text("[DEFAULT]\n")
    conf = load([file])
    assert reload(conf, access.check)

    file.write_text(f"[DEFAULT]\ndebug = true\n{broken}\n")
    assert not reload(conf, access.check)

    assert not conf.debug
    assert "the former stays" in caplog.text
