"""TLS to MariaDB by the URL: who asks for it gets it, from the right server, or nothing at all."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.authority import Authority
from tests.support.mariadb_server import MariadbServer

from coffer.collector.database import CollectorDatabaseError
from coffer.collector.database import Database as CollectorsDatabase
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable

pytestmark = pytest.mark.mariadb

CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
TLS_OFFERED = 0x0800
"""A bit of the lower capabilities in a server's greeting."""


def cipher(url: str) -> str:
    database = Database(url)
    try:
        with database.reading() as tx:
            return str(tx.exec_driver_sql(CIPHER).one()[1])
    finally:
        database.close()


def test_a_url_that_names_an_authority_has_tls_and_another_has_none(
    mariadb_server: MariadbServer, mariadb_url: str
) -> None:
    assert cipher(mariadb_url) == ""
    assert cipher(f"{mariadb_url}?ssl_ca={mariadb_server.ca_file}") != ""


def test_a_server_of_another_authority_is_not_talked_to(mariadb_url: str, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").ca_file
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        cipher(f"{mariadb_url}?ssl_ca={stranger}")
    collectors = CollectorsDatabase(f"{mariadb_url}?ssl_ca={stranger}")
    with pytest.raises(CollectorDatabaseError), collectors.reading():
        pass
    collectors.close()


def test_a_server_of_another_name_is_not_talked_to_unless_the_url_says_so(
    mariadb_server: MariadbServer, mariadb_url: str
) -> None:
    # The certificate is for 127.0.0.1 and localhost; this is the same machine.
    url = f"{mariadb_url.replace('127.0.0.1', '127.0.0.2')}?ssl_ca={mariadb_server.ca_file}"
    with between(mariadb_server.port, host="127.0.0.2") as (port, _):
        url = url.replace(f":{mariadb_server.port}/", f":{port}/")
        with pytest.raises(StoreUnavailable):
            cipher(url)
        assert cipher(f"{url}&ssl_check_hostname=false") != ""


def test_whoever_hides_that_the_server_has_tls_learns_nothing(
    mariadb_server: MariadbServer, mariadb_url: str
) -> None:
    def through(port: int) -> str:
        return mariadb_url.replace(f":{mariadb_server.port}/", f":{port}/")

    with between(mariadb_server.port, hides_tls=True) as (port, heard):
        assert cipher(through(port)) == ""
        assert b"coffer" in b"".join(heard)
    # Another way in: the goodbye of the first connection may still be on the former one.
    with between(mariadb_server.port, hides_tls=True) as (port, heard):
        with pytest.raises(StoreUnavailable):
            cipher(f"{through(port)}?ssl_ca={mariadb_server.ca_file}")
        assert b"".join(heard) == b""


@contextmanager
def between(
    port: int, *, host: str = "127.0.0.1", hides_tls: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """Stand between client and server; yield where, and what clients say."""
    heard: list[bytes] = []
    opened: list[socket.socket] = []

    def carry(source: socket.socket, target: socket.socket, *, is_client: bool) -> None:
        is_first = True
        with suppress(OSError):
            while data := source.recv(65536):
                if is_client:
                    heard.append(data)
                target.sendall(_without_tls(data) if is_first and hides_tls and not is_client else data)
                is_first = False
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                opened.extend((client, server))
                for source, target, is_client in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=carry, args=(source, target), kwargs={"is_client": is_client}, daemon=True
                    ).start()

    listener = socket.create_server((host, 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for each in (listener, *opened):
            each.close()


def _without_tls(greeting: bytes) -> bytes:
    """Return a server's greeting, which then says that it has no TLS."""
    at = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    (capabilities,) = struct.unpack_from("<H", greeting, at)
    assert capabilities & TLS_OFFERED
    return greeting[:at] + struct.pack("<H", capabilities & ~TLS_OFFERED) + greeting[at + 2 :]
