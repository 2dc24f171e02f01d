"""Builds transports from the configuration; the door to oslo.messaging, which is heavy to open."""

import logging
import threading
import types
import warnings

from oslo_config import cfg

from coffer.wire.rpc import RpcTransport

_IMPORTING = threading.Lock()


def oslo() -> types.ModuleType:
    """Import the adapter to oslo.messaging.

    oslo.messaging still imports eventlet, which coffer never uses, and everybody on the way announces the end
    of it; those warnings, and no others, are silenced here.
    """
    with _IMPORTING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*[Ee]ventlet.*")
        from coffer.wire import oslo as adapter

    # Below INFO the library prints whole messages, arguments included.
    library = logging.getLogger("oslo_messaging")
    if library.level < logging.INFO:
        library.setLevel(logging.INFO)
    return adapter


def rpc_transport(conf: cfg.ConfigOpts) -> RpcTransport:
    """Return the transport that `transport_url` names; it connects at its first use.

    `conf` has the options of `coffer.wire.options.register`. `rabbit://` and `kombu+memory://` are supported;
    transports on the latter reach each other within one process.
    """
    return RpcTransport(
        oslo().Messaging(conf), topic_prefix=conf.rpc_topic_prefix, send_timeout_s=conf.rpc_cast_timeout_s
    )
