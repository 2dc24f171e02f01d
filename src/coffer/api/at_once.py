"""Which calls wait for nothing, so that whoever hears calls may serve them himself."""

import re
from collections.abc import Sequence
from wsgiref.types import WSGIEnvironment

from coffer.api.auth import Authenticator
from coffer.api.routes import PROJECT, ROUTES, Route

_VARIABLE = re.compile(r"{[a-z_]+}")
_WITHOUT_PROJECT = ("/", "/v1.0")


class AtOnce:
    """Tells the calls that are answered from memory, of callers who are known already."""

    def __init__(self, authenticator: Authenticator, routes: Sequence[Route] = ROUTES) -> None:
        """Ask `authenticator` whom it knows."""
        self._authenticator = authenticator
        paths = (_pattern(PROJECT + route.path) for route in routes if route.from_memory)
        self._below_project = re.compile(f"(?:{'|'.join(paths)})/?")

    def __call__(self, environ: WSGIEnvironment) -> bool:
        """Return whether the call asks neither a database nor anybody else."""
        if environ["REQUEST_METHOD"] != "GET":
            return False
        path = environ["PATH_INFO"]
        if path in _WITHOUT_PROJECT:
            return True
        return self._below_project.fullmatch(path) is not None and self._authenticator.knows(environ)


def _pattern(path: str) -> str:
    return "[^/]+".join(re.escape(part) for part in _VARIABLE.split(path))
