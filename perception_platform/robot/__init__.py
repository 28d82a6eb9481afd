"""The robot file: one YAML a robot, checked; and the stack of nodes it asks for."""
