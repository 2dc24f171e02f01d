"""The socket that the API listens on."""

import socket

import pytest

from coffer.main.http import CannotListenError, listening


def test_port_0_is_any_free_one() -> None:
    with listening("127.0.0.1", 0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        assert port > 0
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotListenError, match=f"127.0.0.1 port {port} cannot be listened on: Address"):
            listening("127.0.0.1", port).__enter__()


def test_an_address_of_somebody_else_is_told() -> None:
    with pytest.raises(CannotListenError, match=r"192\.0\.2\.1 port 0 cannot be listened on"):
        listening("192.0.2.1", 0).__enter__()


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(CannotListenError, match="is no address to listen on"):
        listening("not an address", 0).__enter__()


def test_ipv6_can_be_listened_on() -> None:
    with listening("::1", 0) as listener:
        assert listener.family is socket.AF_INET6
