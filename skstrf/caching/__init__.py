"""Caches whose keys hold everything that decides a result."""
