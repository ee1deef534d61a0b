"""Speech: what the service says over HTTP, to each audience in a room of its own."""
