"""A package, so that what others install by the name of tests does not hide it."""
