"""Caches on disk whose keys contain everything that decides a result."""
