"""CloudKitty's metrics for its Gnocchi collector: what a database costs."""

from coffer.derive.meters import EXISTS, INSTANCE_METERS, METADATA
from coffer.derive.yaml_text import Tree, yaml_text

_HEADER = """
CloudKitty metrics for coffer. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format cloudkitty

Add the items to `metrics` of metrics.yml ([collect] metrics_conf). They are read from Gnocchi, where the type
trove_instance must exist (coffer catalogue --format gnocchi). Aggregation and granularity are those of Ceilometer's
archive policy ceilometer-low, which keeps means of five minutes; CloudKitty's own defaults would find nothing there.
Gauges are read where exists is announced: without exists_notification_transformer there is nothing to rate.
"""

_FROM_GNOCCHI: Tree = {
    "resource_type": "trove_instance",
    "aggregation_method": "mean",
    "force_granularity": 300,
}
_BILLED = ("instance_type", "service_id", "region")


def text() -> str:
    """Return the metrics."""
    metrics: dict[str, Tree] = {EXISTS: _metric("h", factor="1/3600")}
    for meter in INSTANCE_METERS:
        metrics[meter.name] = _metric(meter.unit, mutate="NUMBOOL" if meter.trait is None else "NONE")
    return yaml_text(_HEADER, {"metrics": metrics})


def _metric(unit: str, **how: str) -> Tree:
    return {
        "unit": unit,
        **how,
        "groupby": ["id", "user_id", "project_id"],
        "metadata": [name for name in METADATA if name in _BILLED],
        "extra_args": _FROM_GNOCCHI,
    }
