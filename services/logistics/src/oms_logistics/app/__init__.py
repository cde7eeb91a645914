"""What happens on events, deadlines, commands and queries."""
