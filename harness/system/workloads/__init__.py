"""Programs: training job, inference server, GPU exporter, notification receiver."""

from prometheus_client import disable_created_metrics

# A further series beside each counter, with the time it began, is not among the specified names.
disable_created_metrics()  # type: ignore[no-untyped-call]
