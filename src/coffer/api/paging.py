"""Pages of a list: `limit`, `marker` and the link to the next page. Pure.

The client takes the marker out of the link's query, decodes it once, and puts the result into its next URL
without encoding it. So the marker stands in the link encoded twice; encoded once, `bob@%` would get lost.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qsl, quote

from coffer.catalogue.errors import BadRequest

Item = TypeVar("Item")

WHOLE_NUMBER = re.compile(r"0{0,9}[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page a client asks for; `marker` is the last item of the page before it."""

    limit: int
    marker: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the marker of the next page if there is one."""

    items: Sequence[Item]
    next_marker: str | None


def query_of(query_string: str) -> dict[str, str]:
    """Return the query's values, decoded once; of a name that stands twice the last one counts.

    Raises:
        BadRequest: if one holds the character NUL, which PostgreSQL has in no text.
    """
    if not query_string:
        return {}
    values = dict(parse_qsl(query_string, keep_blank_values=True))
    if any("\0" in value for value in values.values()):
        raise BadRequest(reason="The query holds a NUL character.")
    return values


def page_request(query: Mapping[str, str], *, maximum: int) -> PageRequest:
    """Read `limit` and `marker`; a limit above `maximum` is cut to it, as Trove does.

    Raises:
        BadRequest: if the limit is not a whole number of at least 1.
    """
    text = query.get("limit", "")
    if not text:
        return PageRequest(limit=maximum, marker=query.get("marker") or None)
    if not WHOLE_NUMBER.fullmatch(text):
        raise BadRequest(reason="limit must be a whole number of at least 1.")
    return PageRequest(limit=min(int(text), maximum), marker=query.get("marker") or None)


def cut(items: Sequence[Item], *, limit: int, marker_of: Callable[[Item], str]) -> Page[Item]:
    """Make a page of up to `limit` items from what was fetched with one item more than that."""
    shown = items[:limit]
    more = len(items) > limit
    return Page(items=shown, next_marker=marker_of(shown[-1]) if more else None)


def slice_after(
    items: Sequence[Item], request: PageRequest, *, marker_of: Callable[[Item], str]
) -> Page[Item]:
    """Page through a whole list, ordered by the marker; the marker's own item need not exist any more."""
    ordered = sorted(items, key=marker_of)
    if request.marker is not None:
        ordered = [item for item in ordered if marker_of(item) > request.marker]
    return cut(ordered[: request.limit + 1], limit=request.limit, marker_of=marker_of)


def next_link(url: str, query: Mapping[str, str], request: PageRequest, marker: str) -> dict[str, str]:
    """Return the link to the page after `marker`; the rest of the query is kept."""
    kept = {key: value for key, value in query.items() if key not in {"limit", "marker"}}
    parts = [f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in kept.items()]
    parts += [f"limit={request.limit}", f"marker={quote(quote(marker, safe=''), safe='')}"]
    return {"rel": "next", "href": f"{url}?{'&'.join(parts)}"}
