"""What happens on each event, command and query."""
