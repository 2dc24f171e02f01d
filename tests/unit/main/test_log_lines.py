"""Log lines made here are those of oslo.log, to the letter."""

import logging
from collections.abc import Iterator

import pytest
from oslo_config import cfg
from oslo_context import context as contexts
from oslo_log import formatters, log

from coffer.main.log_lines import Formatter, Record
from coffer.wire.context import TroveContext

DATE = "%Y-%m-%d %H:%M:%S"


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf([], project="coffer")
    return conf


@pytest.fixture(autouse=True)
def _no_context() -> Iterator[None]:
    contexts._request_store.context = None
    yield
    contexts._request_store.context = None


def record(
    level: int = logging.INFO, message: str = "request method=%s", **values: object
) -> logging.LogRecord:
    made = Record("coffer.api", level, "/x/context.py", 7, message, ("GET",), None, func="f")
    made.created, made.msecs = 1_764_000_000.25, 250.0
    vars(made).update(values)
    return made


def asked() -> None:
    TroveContext(request_id="req-1", user_id="alice", project_id="shop", client_ip="127.0.0.1:1")


def both(conf: cfg.ConfigOpts, **values: object) -> tuple[str, str]:
    """Return the line as it is made here, and as oslo.log makes it."""
    ours, theirs = (
        kind(datefmt=DATE, config=conf, project="coffer", version="1")
        for kind in (Formatter, formatters.ContextFormatter)
    )
    return ours.format(record(**values)), theirs.format(record(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"level": logging.WARNING},
        {"level": logging.DEBUG},
        {"message": "per cent %% and %s"},
        {"instance": "i-1"},
        {"instance_uuid": "i-1"},
        {"exc_info": (ValueError, ValueError("tiger"), None)},
        {"user_name": "alice"},
        {"context": {"request_id": "req-2"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("has_context", [False, True])
def test_a_line_is_that_of_oslo_log(
    conf: cfg.ConfigOpts, values: dict[str, object], has_context: bool
) -> None:
    if has_context:
        asked()
    ours, theirs = both(conf, **values)
    assert ours == theirs


@pytest.mark.parametrize(
    "option",
    [
        {"logging_context_format_string": "%(isotime)s %(request_id)s %(client_ip)s %(message)s"},
        {"logging_context_format_string": "%(project)s %(version)s %(error_summary)s %(message)s"},
        {"logging_user_identity_format": "%(user)s of %(domain)s"},
    ],
    ids=str,
)
def test_the_operators_formats_are_followed(conf: cfg.ConfigOpts, option: dict[str, str]) -> None:
    for name, value in option.items():
        conf.set_override(name, value)
    asked()
    ours, theirs = both(conf)
    assert ours == theirs


def test_a_line_names_who_asked(conf: cfg.ConfigOpts) -> None:
    asked()
    assert "req-1 alice shop" in both(conf)[0]


def test_the_second_is_said_anew_when_it_passes(conf: cfg.ConfigOpts) -> None:
    formatter = Formatter(datefmt="%S", config=conf, project="coffer", version="1")
    first, second = record(), record()
    second.created = first.created + 1
    seconds = [formatter.formatTime(each, "%S") for each in (first, first, second)]
    assert seconds[0] == seconds[1] != seconds[2]


def test_a_record_knows_its_process() -> None:
    made = record()
    assert (made.process, made.processName) == Record.process_here[::-1]
