"""Validation and array helpers that every layer may import."""
