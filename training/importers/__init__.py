"""Readers of published checkpoints: one file a publisher, each strict about names and shapes."""
