"""Instruments any team can use on its own: training, inference, GPU, logs, profiling."""
