"""Programs: training job, inference server, GPU exporter, notification receiver."""
