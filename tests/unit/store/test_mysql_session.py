"""What is said to PyMySQL beside the URL."""

import pytest

from coffer import mysql_session


def test_no_answer_is_waited_for_without_a_limit_and_the_url_may_say_which() -> None:
    arguments = mysql_session.connect_arguments({"read_timeout": "7"})
    assert (arguments["connect_timeout"], arguments["read_timeout"], arguments["write_timeout"]) == (5, 7, 60)
    assert mysql_session.connect_arguments({})["read_timeout"] > mysql_session.LOCK_WAIT_S


def test_tls_is_not_tried_where_nobody_asked_for_it() -> None:
    assert mysql_session.connect_arguments({})["ssl_disabled"] is True


@pytest.mark.parametrize(
    "query", [{"ssl_ca": "/none"}, {"ssl_cert": "/none"}, {"ssl": "true"}, {"sslmode": "require"}]
)
def test_tls_that_cannot_be_had_is_an_error_and_not_left_out(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="TLS"):
        mysql_session.connect_arguments(query)
