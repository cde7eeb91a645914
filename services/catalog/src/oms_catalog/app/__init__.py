"""Commands: what a caller may say of the catalog, and what comes of it."""
