"""From sensor to decision, three ways, next to pure compute."""
