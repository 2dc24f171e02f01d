"""The rules of the house that a linter does not know."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "coffer").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 400

WAITING = Path("tests/support/waiting.py")
"""The only place where a test may sleep: between two looks at a condition, until a deadline."""

LOOPS = {
    ("relay/relay.py", "run_once"): "the relay",
    ("relay/relay.py", "_close"): "the relay, its last turn",
    ("wire/dispatcher.py", "handle"): "the RPC endpoint",
    ("wire/consumer.py", "run"): "the consumer's harness",
    ("wire/sealed/inbox.py", "_handle"): "the sealed messages, each",
    ("wire/sealed/inbox.py", "_is_taken"): "the sealed messages, each",
    ("wire/sealed/inbox.py", "_run"): "the sealed messages",
    ("lifecycle/watchdog.py", "_watch"): "the watchdog",
    ("taskmanager/periodic.py", "_do"): "the periodic chores",
}
"""Where any exception may be caught and not raised again. The sixth, the WSGI edge, is an error handler of Falcon's."""

CARRIERS = {
    ("wire/delivery.py", "run"): "hands the exception to the thread that waits for it, which raises it"
}


def relative(path: Path) -> Path:
    return path.relative_to(ROOT)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_no_file_is_longer_than_a_person_can_hold() -> None:
    long = {
        str(relative(path)): count
        for path in (*SOURCES, *TESTS)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }

    assert not long, f"split by reason, not by length (at most {LONGEST_FILE} lines): {long}"


# --- broad excepts --------------------------------------------------------------------------------


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.body[-1], ast.Raise)


def swallowing(tree: ast.AST, function: str = "") -> Iterator[str]:
    """Return the functions that catch anything and go on."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not raises_again(node):
            yield function
        yield from swallowing(node, inside)


def test_only_the_loops_catch_whatever_comes() -> None:
    found = {
        (str(path.relative_to(ROOT / "src" / "coffer")), function)
        for path in SOURCES
        for function in swallowing(tree_of(path))
    }

    assert found == LOOPS.keys() | CARRIERS.keys()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f():\n try: g()\n except Exception: pass", ["f"]),
        ("def f():\n try: g()\n except: h()", ["f"]),
        ("def f():\n try: g()\n except (ValueError, BaseException) as e: h(e)", ["f"]),
        ("def f():\n def k():\n  try: g()\n  except Exception: pass", ["k"]),
        ("def f():\n try: g()\n except Exception:\n  h()\n  raise", []),
        ("def f():\n try: g()\n except Exception as e: raise ValueError from e", []),
        ("def f():\n try: g()\n except ValueError: pass", []),
    ],
)
def test_a_broad_except_is_found(code: str, expected: list[str]) -> None:
    assert list(swallowing(ast.parse(code))) == expected


def test_every_savepoint_takes_back_what_was_deferred() -> None:
    """One of SQLAlchemy's own would announce what was undone; the collector defers nothing."""
    nesting = {
        path.relative_to(ROOT / "src" / "coffer").as_posix()
        for path in SOURCES
        if any(call.endswith(".begin_nested") for call in calls_of(tree_of(path)))
    }

    assert nesting == {"store/deferred.py", "collector/events.py"}


# --- tests ----------------------------------------------------------------------------------------


def calls_of(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def imports_of(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_no_test_sleeps() -> None:
    sleeping = [
        str(relative(path))
        for path in TESTS
        if relative(path) != WAITING
        and ("time.sleep" in calls_of(tree_of(path)) or "time.sleep" in imports_of(tree_of(path)))
    ]

    assert not sleeping, "wait for a condition: tests.support.waiting.wait_for"


def test_no_test_mocks() -> None:
    mocking = [str(relative(path)) for path in TESTS if "unittest.mock" in imports_of(tree_of(path))]

    assert not mocking, "own a fake that passes the port's contract tests, or use the real thing"


# --- floors ---------------------------------------------------------------------------------------


def contracts() -> list[dict[str, object]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, object]] = project["tool"]["importlinter"]["contracts"]
    return found


def test_the_floors_are_checked_and_every_package_stands_on_one() -> None:
    (layers,) = [contract["layers"] for contract in contracts() if contract["type"] == "layers"]
    assert isinstance(layers, list)
    floors = [[name.strip().removeprefix("coffer.") for name in floor.split("|")] for floor in layers]
    source = ROOT / "src" / "coffer"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py")} - {"__init__"}

    assert {name for floor in floors for name in floor} == packages | modules
    assert floors[-1] == ["catalogue", "mysql_session", "sqlite_file"]
    assert ["lifecycle"] in floors


def test_the_guest_is_kept_from_the_database() -> None:
    (guest,) = [
        contract for contract in contracts() if contract.get("source_modules") == ["coffer.guestagent"]
    ]

    assert guest["type"] == "forbidden"
    assert {"coffer.store", "coffer.lifecycle"} <= set(guest["forbidden_modules"])  # type: ignore[call-overload]


def test_the_linter_that_checks_them_is_part_of_lint() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]

    assert "lint-imports" in recipe
    assert "mypy" in recipe


# --- what a process loads -------------------------------------------------------------------------

FOREIGN_TO_GUESTS = {"sqlalchemy", "alembic", "falcon", "granian", "keystonemiddleware"} | {
    f"coffer.{floor}"
    for floor in ("api", "collector", "conductor", "lifecycle", "relay", "store", "taskmanager")
}


def test_the_process_of_a_guest_loads_nothing_of_the_control_plane() -> None:
    """There is one for each instance, on machines that are not trusted: it is small, and holds no key to anything."""
    told = "import sys, coffer.main.guest_process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert not FOREIGN_TO_GUESTS & set(done.stdout.split())
