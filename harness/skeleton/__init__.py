"""A first experiment for each alert of a stack, as far as its rules say what would make them fire."""

from harness.skeleton.drafting import Draft, draft_experiments
from harness.skeleton.writing import file_names, write_drafts

__all__ = ["Draft", "draft_experiments", "file_names", "write_drafts"]
