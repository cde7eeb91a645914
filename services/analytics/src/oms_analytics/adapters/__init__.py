"""Analytics in its database."""
