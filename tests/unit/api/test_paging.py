"""Pages, and markers that survive the client."""

from urllib import parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.api.paging import PageRequest, next_link, page_request, query_of, slice_after
from coffer.catalogue.errors import BadRequest

URL = "http://127.0.0.1:8779/v1.0/p/instances/i/users"
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1)
awkward = (
    st.sampled_from(["bob@%", "a%41@%", "a+b@%", "a&b=c@%", "a#?;@%", " ", "ü本🛒@%", "%", "%25", "=", '"'])
    | texts
)


def next_url_of_the_client(href: str) -> str:
    """What python-troveclient makes of a link: decoded once, then put into the next URL as it is."""
    marker = dict(parse.parse_qsl(parse.urlparse(href).query)).get("marker")
    return f"{URL}?limit=20&marker={marker}"


@given(marker=awkward.filter(lambda text: "\0" not in text))
def test_a_marker_comes_back_as_it_was(marker: str) -> None:
    href = next_link(URL, {}, PageRequest(limit=20, marker=None), marker)["href"]

    query = query_of(parse.urlparse(next_url_of_the_client(href)).query)

    assert page_request(query, maximum=20).marker == marker


@given(
    items=st.lists(texts, unique=True, max_size=30),
    limit=st.integers(min_value=1, max_value=7),
)
def test_the_pages_of_a_list_are_the_list(items: list[str], limit: int) -> None:
    seen: list[str] = []
    marker: str | None = None
    while True:
        page = slice_after(items, PageRequest(limit=limit, marker=marker), marker_of=str)
        assert len(page.items) <= limit
        seen += page.items
        marker = page.next_marker
        if marker is None:
            break
    assert seen == sorted(items)


def test_a_marker_whose_item_is_gone_still_marks_its_place() -> None:
    page = slice_after(["a", "c"], PageRequest(limit=5, marker="b"), marker_of=str)

    assert (page.items, page.next_marker) == (["c"], None)


@pytest.mark.parametrize(
    ("query", "limit"),
    [({}, 20), ({"limit": ""}, 20), ({"limit": "1"}, 1), ({"limit": "0005"}, 5), ({"limit": "21"}, 20)],
)
def test_a_limit_is_taken_up_to_the_maximum(query: dict[str, str], limit: int) -> None:
    assert page_request(query, maximum=20).limit == limit


@pytest.mark.parametrize("limit", ["0", "-1", "1.0", "x", "1e3", "٣", "9" * 5000, " 1", "None"])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(BadRequest):
        page_request({"limit": limit}, maximum=20)
