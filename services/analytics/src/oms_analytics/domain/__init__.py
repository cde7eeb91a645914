"""What an order earned: rules without I/O."""
