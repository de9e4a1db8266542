"""A run's result told to people and programs: text, JSON, JUnit and HTML. Pure: a record goes in, text comes out."""

from __future__ import annotations

from harness.report.html import to_html
from harness.report.junit import to_junit
from harness.report.result_json import from_json, to_json, to_json_text
from harness.report.text import to_text

__all__ = ["from_json", "to_html", "to_json", "to_json_text", "to_junit", "to_text"]
