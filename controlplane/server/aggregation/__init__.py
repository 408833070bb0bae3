"""APIServices: those of this server, noted for clients to see, and those of others, which requests are handed to."""
