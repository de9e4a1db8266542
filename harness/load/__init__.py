"""Load from locust, run out of process; what it did, as events."""
