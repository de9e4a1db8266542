"""The one place that composes environments, load, faults, evidence and checks into a run."""
