"""Brokers and databases that speak TLS, and coffer deployed on them with the sample configuration."""

import base64
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import sql
from tests.support.authority import Authority, Certificate
from tests.support.deployment import Deployment
from tests.support.ports import free_port, instance_port_options
from tests.support.postgresql_server import PostgresqlServer, running_server
from tests.support.processes import kill_about
from tests.support.rabbitmq import RabbitNode, require_rabbitmq
from tests.support.scratch import scratch

SAMPLE = Path(__file__).parents[2] / "etc" / "coffer.conf.sample"
ENOUGH_FOR_NOTIFICATIONS = r"^(trove|notifications\..*|coffer-collector)$"
"""What docs/deploy.md lets the account on the broker of notifications do."""
PLACEHOLDER = re.compile(r"<[A-Z_]+>")


@dataclass
class TlsNode(RabbitNode):
    """A node that also listens for TLS, with `certificate`; so does its management API where there is one.

    Its user may configure, write and read what `allowed` matches.
    """

    certificate: Certificate | None = None
    tls_port: int = field(default_factory=free_port)
    secure_management_port: int = 0
    allowed: str = ".*"

    def prepare(self) -> None:
        """Write the files of the node."""
        super().prepare()
        assert self.certificate is not None
        with (self.root / "rabbitmq.conf").open("a") as settings:
            settings.write(
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
                f"ssl_options.certfile = {self.certificate.certificate}\n"
                f"ssl_options.keyfile = {self.certificate.key}\n"
                "ssl_options.verify = verify_none\n"
            )
            if self.secure_management_port:
                (self.root / "enabled_plugins").write_text("[rabbitmq_management].\n")
                settings.write(
                    "management.ssl.ip = 127.0.0.1\n"
                    f"management.ssl.port = {self.secure_management_port}\n"
                    f"management.ssl.certfile = {self.certificate.certificate}\n"
                    f"management.ssl.keyfile = {self.certificate.key}\n"
                )

    def _definitions(self) -> dict[str, object]:
        made = super()._definitions()
        permission = dict.fromkeys(("configure", "write", "read"), self.allowed)
        return {**made, "permissions": [{"user": self.user, "vhost": "/", **permission}]}


@contextmanager
def both_brokers(authority: Authority) -> Iterator[tuple[TlsNode, TlsNode]]:
    """Give the broker of RPC and that of notifications, started side by side, and leave nothing of them."""
    require_rabbitmq()
    roots = [Path(tempfile.mkdtemp(prefix="coffer-rabbitmq-", dir="/tmp")) for _ in range(2)]
    rpc = TlsNode(roots[0], certificate=authority.issue("rpc", hosts=["127.0.0.1"]))
    rpc.secure_management_port = free_port()
    notifications = TlsNode(roots[1], certificate=authority.issue("notifications"))
    notifications.allowed = ENOUGH_FOR_NOTIFICATIONS
    nodes = (rpc, notifications)
    try:
        for node in nodes:
            node.prepare()
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(TlsNode.start, nodes))
        yield nodes
    finally:
        for node in nodes:
            node.destroy()
            shutil.rmtree(node.root)


def refuse_plain_connections(server: PostgresqlServer, authority: Authority) -> None:
    """Let a PostgreSQL server speak TLS, and nothing else; it is started again."""
    stat = server.data.stat()
    made = authority.issue("database", owner=(stat.st_uid, stat.st_gid))
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write(f"\nssl = on\nssl_cert_file = '{made.certificate}'\nssl_key_file = '{made.key}'\n")
    (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    server.stop()
    server.start()


@dataclass
class SampleDeployment(Deployment):
    """What the sample configuration makes, `replacements` in the place of its words."""

    replacements: dict[str, str] = field(default_factory=dict, repr=False)

    def configure(self) -> None:
        """Write the sample, and behind it what makes a test quick."""
        self.config_file.touch(mode=0o600)
        text = SAMPLE.read_text()
        for word, value in self.replacements.items():
            assert f"<{word}>" in text, f"the sample has no <{word}>"
            text = text.replace(f"<{word}>", value)
        settings = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        left = PLACEHOLDER.findall(settings)
        assert not left, f"the sample has words that nobody replaced: {left}"
        hurry = (
            "\n[DEFAULT]\nreport_interval = 0.5\nwatchdog_interval = 0.25\nservice_down_time = 2\n"
            "[local_cloud]\nmin_free_gib = 0.1\nguest_check_interval = 0.5\n"
        )
        ports = "".join(f"{name} = {value}\n" for name, value in instance_port_options().items())
        self.config_file.write_text(text + hurry + ports)


@dataclass(frozen=True)
class Secured:
    """A deployment on two brokers and a database that are reached by TLS only."""

    coffer: SampleDeployment
    authority: Authority
    rpc: TlsNode
    notifications: TlsNode


def _create_database(server: PostgresqlServer, name: str) -> None:
    """Make a database of the user `coffer`, who is made with the first."""
    with server.admin() as connection:
        if connection.execute("select 1 from pg_roles where rolname = 'coffer'").fetchone() is None:
            password = sql.Literal(server.password)
            connection.execute(sql.SQL("create role coffer login password {}").format(password))
        connection.execute(sql.SQL("create database {} owner coffer").format(sql.Identifier(name)))


@contextmanager
def secured_deployment() -> Iterator[Secured]:
    """Deploy coffer as the sample configuration says; nothing of it stays behind."""
    with scratch() as root, running_server() as server:
        authority = Authority(root / "authority")
        refuse_plain_connections(server, authority)
        with both_brokers(authority) as (rpc, notifications):
            yield from _deployed(root, authority, server, rpc, notifications)


def _deployed(
    root: Path, authority: Authority, server: PostgresqlServer, rpc: TlsNode, notifications: TlsNode
) -> Iterator[Secured]:
    for name in ("coffer", "coffer_events"):
        _create_database(server, name)
    address = f"postgresql://coffer:{server.password}@127.0.0.1:{server.port}"
    options = f"sslmode=verify-full&sslrootcert={authority.ca_file}"
    made = SampleDeployment(
        root, rpc.url, f"{address}/coffer?{options}", f"{address}/coffer_events?{options}"
    )
    made.replacements = {
        "MY_IP": "127.0.0.1",
        "RPC_PASSWORD": rpc.password,
        "RPC_BROKER": f"127.0.0.1:{rpc.tls_port}",
        "NOTIFICATION_PASSWORD": notifications.password,
        "NOTIFICATION_BROKER": f"127.0.0.1:{notifications.tls_port}",
        "MANAGEMENT": f"127.0.0.1:{rpc.secure_management_port}",
        "GUESTS_SECRET": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE_PASSWORD": server.password,
        "DATABASE": f"127.0.0.1:{server.port}",
        "CA_FILE": str(authority.ca_file),
        "API_PORT": str(made.port),
        "ROOT": str(root),
    }
    try:
        made.configure()
        made.run("db", "upgrade")
        yield Secured(made, authority, rpc, notifications)
    finally:
        for service in made.services:
            if service.is_alive:
                service.kill()
        kill_about(root)
