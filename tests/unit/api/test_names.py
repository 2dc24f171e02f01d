"""Names of databases and users, and users in paths."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.api.bodies import NamedDatabase, NewDatabase, NewUser
from coffer.api.names import (
    check_databases,
    check_users,
    database_url_problem,
    user_of_path,
    user_url_problem,
)
from coffer.api.secret import Secret
from coffer.catalogue.errors import BadRequest
from coffer.datastores.datastore import Rules


def accepts(_text: str) -> None:
    return None


def rules(*, has_user_hosts: bool) -> Rules:
    return Rules(
        database_name=accepts,
        user_name=accepts,
        password=accepts,
        character_set=accepts,
        collate=accepts,
        has_user_hosts=has_user_hosts,
    )


WITH_HOSTS = rules(has_user_hosts=True)
WITHOUT_HOSTS = rules(has_user_hosts=False)
visible = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def quoted_by_the_client(name: str, host: str | None) -> str:
    """How python-troveclient writes a user into a URL."""
    return quote(f"{name}@{host}" if host else name).replace(".", "%2e")


@given(name=visible)
@pytest.mark.parametrize("known", [WITH_HOSTS, WITHOUT_HOSTS])
def test_a_user_with_a_host_is_found_again(known: Rules, name: str) -> None:
    assert user_of_path(unquote(quoted_by_the_client(name, "%")), known) == (name, "%")


@given(name=visible.filter(lambda name: "@" not in name))
@pytest.mark.parametrize("known", [WITH_HOSTS, WITHOUT_HOSTS])
def test_a_user_without_a_host_comes_from_anywhere(known: Rules, name: str) -> None:
    assert user_of_path(unquote(quoted_by_the_client(name, None)), known) == (name, "%")


def test_only_engines_with_hosts_split_one_off() -> None:
    assert user_of_path("a@b@10.0.0.1", WITH_HOSTS) == ("a@b", "10.0.0.1")
    assert user_of_path("a@b@10.0.0.1", WITHOUT_HOSTS) == ("a@b@10.0.0.1", "%")
    assert user_of_path("a@b", WITHOUT_HOSTS) == ("a@b", "%")
    assert user_of_path("a@", WITH_HOSTS) == ("a", "%")


@given(name=visible.filter(lambda name: database_url_problem(name) is None))
def test_a_database_name_that_is_accepted_survives_an_unquoted_url(name: str) -> None:
    path = f"/databases/{name}".partition("?")[0].partition("#")[0]

    assert unquote(path) == f"/databases/{name}"
    assert path.count("/") == 2


@pytest.mark.parametrize("name", ["a/b", "a?b", "a#b", "a,b", "a%41", ".", ".."])
def test_a_database_name_that_a_url_would_change_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=r"databases\[0\].name"):
        check_databases([NewDatabase(name=name)], WITH_HOSTS, "databases")


@pytest.mark.parametrize(
    ("name", "is_taken"), [("a/b", False), ("a,b", False), ("a%41?#", True), ("a.b@c", True)]
)
def test_a_user_name_is_quoted_by_the_client_but_for_the_slash(name: str, is_taken: bool) -> None:
    assert (user_url_problem(name) is None) == is_taken


def user(name: str = "ann", host: str | None = None, databases: tuple[str, ...] = ()) -> NewUser:
    return NewUser(
        name=name, password=Secret("x"), host=host, databases=[NamedDatabase(name=each) for each in databases]
    )


def test_the_same_name_from_two_hosts_is_two_users_where_users_have_hosts() -> None:
    pair = [user(host="10.0.0.1"), user(host="10.0.0.2")]

    check_users(pair, WITH_HOSTS, "users")
    with pytest.raises(BadRequest, match="host"):
        check_users(pair, WITHOUT_HOSTS, "users")
    with pytest.raises(BadRequest, match="twice"):
        check_users([user(), user(host="%")], WITHOUT_HOSTS, "users")


@pytest.mark.parametrize("host", ["", "a/b", "a@b", "a\nb", "h" * 256])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(BadRequest, match=r"users\[0\].host"):
        check_users([user(host=host)], WITH_HOSTS, "users")
