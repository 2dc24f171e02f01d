"""`coffer guests` on a database, without a broker."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.rows import NOON, new_instance

from coffer.cli.guests import guests
from coffer.lifecycle.guest_channels import GuestChannels, new_secret
from coffer.store import instances, migrate
from coffer.store.database import Database

SHOP = "5e0b3a4c-0000-4000-8000-000000000001"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    url, secret = f"sqlite:///{tmp_path / 'coffer.db'}", new_secret()
    migrate.upgrade(url)
    database = Database(url)
    with database.writing() as tx:
        instances.insert(tx, new_instance(id=SHOP, launched_at=NOON))
    GuestChannels(database, [secret]).enrol(SHOP)
    database.close()
    path = tmp_path / "coffer.conf"
    path.write_text(
        "[DEFAULT]\ntransport_url = rabbit://coffer:x@127.0.0.1:1/\n"
        f"[database]\nconnection = {url}\n[guests]\nsecrets = {secret}\n"
    )
    return path


def run(config_file: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(guests, [*arguments, "--config-file", str(config_file)])
    return done.exit_code, done.output


def test_guests_are_enrolled_again_by_name_or_all(config_file: Path) -> None:
    said = f"{SHOP} is given another key by its taskmanager within a minute.\n"
    assert run(config_file, "enrol-again", "--all") == (0, said)
    code, listed = run(config_file, "list")
    assert (code, f"The guest of instance {SHOP} has no key" in listed) == (1, True)
    assert run(config_file, "enrol-again", SHOP) == (0, said)


def test_one_that_is_no_instance_or_none_named_is_an_error(config_file: Path) -> None:
    code, said = run(config_file, "enrol-again", "no\x1bbody")
    assert (code, "is no instance" in said, "\x1b" in said) == (1, True, False)
    assert run(config_file, "enrol-again")[0] == 2
    assert run(config_file, "enrol-again", SHOP, "--all")[0] == 2
