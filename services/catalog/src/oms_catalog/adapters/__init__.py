"""The catalog in its database."""
