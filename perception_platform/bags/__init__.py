"""Reading and writing recordings, and importing those of others."""
