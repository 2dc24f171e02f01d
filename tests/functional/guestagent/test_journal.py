"""What an agent that was killed leaves, and what the next one makes of it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.guestagent.conftest import Guest, context
from tests.functional.guestagent.test_reporting import Wire, run_id
from tests.support.waiting import wait_for

from coffer.catalogue.errors import DispatchFailed, GuestFailed
from coffer.clouds.local.object_store import DirectoryStore
from coffer.guestagent.journal import DIR_NAME, Journal
from coffer.guestagent.reporting import Reporter
from coffer.wire.context import TroveContext


class Agent:
    """A reporter on a directory, and work that goes on until it is let go: what a killed agent leaves."""

    def __init__(self, guest_dir: Path) -> None:
        self.wire = Wire()
        self.reporter = Reporter(self.wire, "i", Journal(guest_dir))
        self._let_go = threading.Event()
        self._threads: list[threading.Thread] = []

    def take(self, ctx: TroveContext, *, leaves: str | None = None) -> None:
        """Begin to work on a run."""
        entered = threading.Event()

        def work() -> None:
            entered.set()
            assert self._let_go.wait(30)

        self._threads.append(threading.Thread(target=lambda: self.reporter.run(ctx, work, leaves=leaves)))
        self._threads[-1].start()
        assert entered.wait(10)

    def let_go(self) -> None:
        self._let_go.set()
        for each in self._threads:
            each.join(10)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Agent]:
    """The earlier agent on `tmp_path`."""
    agent = Agent(tmp_path)
    yield agent
    agent.let_go()


def test_a_run_under_way_when_the_agent_died_is_reported_as_failed_by_the_next(
    killed: Agent, tmp_path: Path
) -> None:
    ctx = context("user_create")
    killed.take(ctx)
    after = Agent(tmp_path)
    after.reporter.recover()
    after.reporter.resend()
    assert after.wire.said == [(run_id(ctx), "guest_failed")]
    assert "The guest agent stopped in the middle of user_create." in after.wire.details
    assert left(tmp_path) == []


def test_what_a_killed_agent_left_is_cleared_and_what_is_done_is_kept(killed: Agent, tmp_path: Path) -> None:
    killed.take(context("backup_create"), leaves="begun")
    killed.take(context("user_create"))
    before = Agent(tmp_path)
    before.wire.is_cut = True
    before.reporter.run(context("backup_create"), lambda: None, leaves="made")
    cleared: list[str] = []

    Agent(tmp_path).reporter.recover(cleared.append)

    assert cleared == ["begun"]


def test_it_is_not_begun_again_when_the_broker_delivers_it_again(killed: Agent, tmp_path: Path) -> None:
    ctx = context()
    killed.take(ctx)
    after = Agent(tmp_path)
    after.reporter.recover()
    after.reporter.run(ctx, lambda: pytest.fail("begun again"))
    assert after.wire.said == [(run_id(ctx), "guest_failed")]


def test_a_report_that_nobody_took_is_sent_by_the_next_agent_as_it_was(tmp_path: Path) -> None:
    before = Agent(tmp_path)
    before.wire.is_cut = True
    well, badly = context(), context()
    before.reporter.run(well, lambda: None)
    with pytest.raises(GuestFailed):
        before.reporter.run(badly, refuse)
    after = Agent(tmp_path)
    after.reporter.recover()
    after.wire.is_cut = True
    with pytest.raises(DispatchFailed):
        after.reporter.resend()
    assert len(left(tmp_path)) == 2
    after.wire.is_cut = False
    after.reporter.resend()
    assert after.wire.said == [(run_id(well), "end"), (run_id(badly), "guest_failed")]
    assert "no space" in after.wire.details
    assert left(tmp_path) == []


def test_what_was_reported_is_kept_no_longer(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    for _ in range(3):
        agent.reporter.run(context(), lambda: None)
    assert left(tmp_path) == []
    after = Agent(tmp_path)
    after.reporter.recover()
    after.reporter.resend()
    assert after.wire.said == []


def test_work_without_a_run_leaves_nothing(tmp_path: Path) -> None:
    Agent(tmp_path).reporter.run(TroveContext(overwrite=False), lambda: None)
    assert left(tmp_path) == []


def test_a_journal_that_cannot_be_written_keeps_nobody_from_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / DIR_NAME).touch()
    agent = Agent(tmp_path)
    ctx = context()
    agent.reporter.run(ctx, lambda: None)
    assert agent.wire.said == [(run_id(ctx), "end")]
    assert "journal not written" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"context": {}}', '{"context": 5}', '{"outcome": {"etype": 1}}']
)
def test_what_is_no_entry_is_thrown_away(tmp_path: Path, text: str, killed: Agent) -> None:
    killed.take(context())
    (tmp_path / DIR_NAME / "x.json").write_text(text)
    (tmp_path / DIR_NAME / ".y.json.17.new").write_text(text)
    assert len(Journal(tmp_path).left()) == 1
    assert len(left(tmp_path)) == 1


def test_nothing_of_a_run_id_reaches_the_file_system(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    ctx = TroveContext.from_dict(
        {"notification": {"run_id": "../../\0\ud800", "operation": "x"}}, overwrite=False
    )
    journal.begin(ctx)
    (entry,) = journal.left()
    assert entry.ctx.notification == ctx.notification
    assert [path.parent for path in left(tmp_path)] == [tmp_path / DIR_NAME]
    assert left(tmp_path)[0].stat().st_mode & 0o077 == 0


def test_the_next_agent_of_a_real_instance_reports_what_was_left(guest: Guest) -> None:
    ctx = context("user_create")
    Journal(guest.place.directory).begin(ctx)
    guest.new_agent()
    report = guest.conductor.of(ctx)
    assert report.etype == "guest_failed"
    assert report.value["message"] == "The guest agent stopped in the middle of user_create."
    wait_for(lambda: left(guest.place.directory) == [], 10, "the journal to be empty")
    assert guest.prepare().etype == ""


@pytest.mark.parametrize("folder", ["b-1", "../b-1", ""])
def test_the_next_agent_of_a_real_instance_removes_the_beginning_of_a_backup(
    guest: Guest, tmp_path: Path, folder: str
) -> None:
    store = DirectoryStore(tmp_path / "backups")
    with store.writing("b-1/archive") as upload:
        upload.write(b"the beginning")
    with store.writing("b-2/archive") as upload:
        upload.write(b"another one")
    ctx = context("backup_create")
    Journal(guest.place.directory).begin(ctx, leaves=folder)

    guest.new_agent(objects=store)

    assert guest.conductor.of(ctx).etype == "guest_failed"
    assert store.folders() == (["b-2"] if folder == "b-1" else ["b-1", "b-2"])


def left(guest_dir: Path) -> list[Path]:
    return sorted((guest_dir / DIR_NAME).glob("*")) + sorted((guest_dir / DIR_NAME).glob(".*"))


def refuse() -> None:
    raise GuestFailed(reason="no space")
