"""Objects followed through time in a fixed frame: motion, extent, association, existence."""
