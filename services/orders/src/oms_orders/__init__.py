"""Orders: what each channel ordered, what stops it, and how far it has come."""
