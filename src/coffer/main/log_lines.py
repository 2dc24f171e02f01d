"""Ordinary log lines as oslo.log writes them, for less of its time: a line costs more than the call that it tells of.

What is left out has no effect on the line. Whatever is not ordinary (a warning, an exception, another formatter) goes
the way of the library.
"""

import logging
import multiprocessing
import os
import time
from typing import Any

from oslo_config import cfg
from oslo_context import context as contexts
from oslo_log import formatters

_NOT_KNOWN = dict.fromkeys(
    ("instance", "color", "user_identity", "resource", "user_name", "project_name", "global_request_id"), ""
)


def install(conf: cfg.ConfigOpts) -> None:
    """Have the lines of this process made here, where oslo.log has been set up to write plain text with `conf`."""
    Record.remember_process()
    logging.logProcesses = logging.logMultiprocessing = False
    logging.setLogRecordFactory(Record)
    for handler in logging.getLogger().handlers:
        former = handler.formatter
        if type(former) is formatters.ContextFormatter:
            handler.setFormatter(
                Formatter(datefmt=former.datefmt, config=conf, project=former.project, version=former.version)
            )


class Record(logging.LogRecord):
    """A record that does not ask the kernel anew which process this is."""

    process_here = ("MainProcess", 0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what the standard library gives."""
        super().__init__(*args, **kwargs)
        self.processName, self.process = self.process_here

    @classmethod
    def remember_process(cls) -> None:
        """Find out which process this is; again after a fork."""
        cls.process_here = (multiprocessing.current_process().name, os.getpid())


os.register_at_fork(after_in_child=Record.remember_process)


class Formatter(formatters.ContextFormatter):
    """oslo.log's formatter of plain text."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what oslo.log's takes; the options for formats are read once, since they hold until the end."""
        super().__init__(*args, **kwargs)
        self._with_request: str = self.conf.logging_context_format_string
        self._without_request: str = self.conf.logging_default_format_string
        self._identity: str = self.conf.logging_user_identity_format
        formats = self._with_request + self._without_request
        # Nothing else names these two, which are dear.
        self._is_plain = "%(isotime)" not in formats and "%(error_summary)" not in formats
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        values = record.__dict__
        context = values.get("context", contexts.get_current())
        is_ordinary = (
            self._is_plain
            and record.levelno == logging.INFO
            and not record.exc_info
            and not record.stack_info
            and (context is None or isinstance(context, contexts.RequestContext))
            and "instance" not in values
            and "instance_uuid" not in values
        )
        if not is_ordinary:
            return super().format(record)
        # Not written into the record, as oslo.log does: it would need a larger one.
        line = {**_NOT_KNOWN, **values, "project": self.project, "version": self.version}
        if context is not None:
            known = context.get_logging_values()
            line.update(known)
            line["user_identity"] = self._identity % _OrDash(known)
        line["message"] = record.getMessage()
        line["asctime"] = self.formatTime(record, self.datefmt)
        return (self._with_request if line.get("request_id") else self._without_request) % line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - it has this name
        """Return the time, to the second, in the form of the option `log_date_format`."""
        if datefmt is None or self.converter is not time.localtime:
            return super().formatTime(record, datefmt)
        second = int(record.created)
        # One tuple, so that threads see both or neither.
        known, text = self._second
        if known != second:
            text = super().formatTime(record, datefmt)
            self._second = (second, text)
        return text


class _OrDash(dict[str, object]):
    """The values of a context, a dash for what it does not know."""

    def __getitem__(self, key: str) -> object:
        return self.get(key) or "-"
