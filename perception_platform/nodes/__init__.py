"""One thin file a node: a callback converts, steps, publishes."""
