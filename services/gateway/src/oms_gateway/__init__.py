"""The gateway: the one public door. It owns nothing; what it accepts becomes an event before it answers."""
