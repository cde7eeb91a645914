"""What happens on events, commands and queries."""
