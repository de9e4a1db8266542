"""What the harness promises in figures, measured: ``make bench``."""
