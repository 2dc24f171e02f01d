"""Runs many `openstack` commands and imports the client once: each command is `shell.main` in a fork of its own.

The console script does the same, `sys.exit(shell.main())`; but four fifths of its time go into importing. A line of
standard input is the JSON list of a command's words, a line of standard output is its `[status, printed, complained]`.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client's libraries announce the end of eventlet
    from openstackclient import shell

_NOBODY = "http://127.0.0.1:9/v1.0/nobody"


def warm() -> None:
    """Import what a command imports: a fork runs one that fails at its first connection, and says what it has loaded.

    It must not run in this process: the client keeps the first command's endpoint in module variables.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as nowhere, os.fdopen(writer, "w") as told:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            with contextlib.suppress(BaseException):
                shell.main(
                    ["--os-auth-type=none", f"--os-endpoint={_NOBODY}", "database", "instance", "list"]
                )
            told.write("\n".join(sys.modules))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        names = told.read().split("\n")
    os.waitpid(child, 0)
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run(words: list[str]) -> tuple[int, str, str]:
    """Run one command in a process of its own."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complained:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(complained.fileno(), 2)
            _be_the_command(words)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (printed, complained):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return os.waitstatus_to_exitcode(status), texts[0], texts[1]


def _be_the_command(words: list[str]) -> None:
    """Never returns, and does nothing at the end that the parent has to do."""
    code = 1
    try:
        code = int(shell.main(words) or 0)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a console script would print it too
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until standard input ends."""
    warm()
    for line in sys.stdin:
        answer = json.dumps(run(json.loads(line)))
        print(answer, flush=True)


if __name__ == "__main__":
    main()
