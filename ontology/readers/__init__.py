"""Readers of terminologies: each gives `Parts` of one format."""
