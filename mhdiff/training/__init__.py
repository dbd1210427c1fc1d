"""Training with Lightning: module, data, checkpoints, and what a run folder holds."""
