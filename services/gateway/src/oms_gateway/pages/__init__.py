"""Readable pages of the HTTP API and of the events, made of their documents. They load nothing from elsewhere."""
