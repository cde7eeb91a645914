"""Settlement: what money is expected, what statements say of it, and the books."""
