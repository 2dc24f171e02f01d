"""Says in an operator's words why a broker refuses our declarations, and which option to change."""

import re

_WORDS = re.compile(
    r"inequivalent arg '(?P<arg>[^']+)' for (?P<kind>exchange|queue) '(?P<name>[^']*)'"
    r"(?: in vhost '(?P<vhost>[^']*)')?: received (?P<asked>.+?) but current is (?P<has>.+)",
    re.DOTALL,
)
_OPTIONS = {
    "durable": "amqp_durable_queues (or rabbit_quorum_queue, which implies it)",
    "x-queue-type": "rabbit_quorum_queue",
    "auto_delete": "amqp_auto_delete",
    "x-ha-policy": "rabbit_ha_queues",
    "x-delivery-limit": "rabbit_quorum_delivery_limit",
    "x-max-in-memory-length": "rabbit_quorum_max_memory_length",
    "x-max-in-memory-bytes": "rabbit_quorum_max_memory_bytes",
}


def explain(reply_text: str) -> str:
    """Return what differs and what can be done, from the text of a PRECONDITION_FAILED."""
    found = _WORDS.search(reply_text)
    if found is None:
        return f"The broker refuses our declarations: {reply_text[:500]}"
    kind, name, arg = found["kind"], found["name"], found["arg"]
    option = _OPTIONS.get(arg)
    remedy = (
        f"Set [oslo_messaging_rabbit] {option} in coffer as it is set for the other users of this {kind} "
        f"(Ceilometer's agent, for one)"
        if option
        else f"Declare this {kind} alike in all its users"
    )
    return (
        f"The {kind} {name} exists on the broker with {arg} = {_value(found['has'])}, "
        f"but coffer is configured for {arg} = {_value(found['asked'])}. "
        f"Nothing goes through it until they agree; events wait in the outbox. "
        f"{remedy}, or delete the {kind} so that it is made anew."
    )


def _value(words: str) -> str:
    """Return the value in the broker's words: `'true'`, `none`, `the value 'quorum' of type 'longstr'`."""
    quoted = re.search(r"'([^']*)'", words)
    return quoted[1] if quoted else words.strip()
