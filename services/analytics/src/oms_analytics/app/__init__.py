"""What analytics does with what it hears."""
