"""Container images: which ones pods run, by a mapping, and building those that no registry has."""

from harness.environments.images.building import build_images
from harness.environments.images.mapping import BASE, ImageMapping, ResolvedImage, load_mapping

__all__ = ["BASE", "ImageMapping", "ResolvedImage", "build_images", "load_mapping"]
