"""MH-Diff: ontology-guided multimodal diagnosis with a diffusion prior."""

__version__ = "0.1.0"
