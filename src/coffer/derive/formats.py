"""Every format that the catalogue can be written in, by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from coffer.derive import (
    aodh,
    asyncapi,
    ceilometer,
    cloudkitty,
    gnocchi,
    json_,
    jsonschema,
    markdown,
    meters,
    table,
)

FORMATS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "table": table.text,
        "json": json_.text,
        "ceilometer": ceilometer.text,
        "meters": meters.text,
        "gnocchi": gnocchi.text,
        "cloudkitty": cloudkitty.text,
        "aodh": aodh.text,
        "jsonschema": jsonschema.text,
        "asyncapi": asyncapi.text,
        "markdown": markdown.text,
    }
)
"""Format name to the function that writes it; the text ends with a line break.

`table` is tab-separated here; `table.rows()` are for those who can draw one.
"""
