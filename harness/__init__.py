"""Proves that monitoring and recovery behave as specified, by breaking things and reading the record."""

__version__ = "0.1.0"
