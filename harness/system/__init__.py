"""The system itself: what pods run. Usable without the rest of the harness."""
