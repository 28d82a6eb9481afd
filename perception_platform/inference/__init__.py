"""Models behind one protocol: named arrays in, named arrays out. Knows nothing of robots or objects."""
