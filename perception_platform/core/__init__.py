"""Value types, geometry and time: what every other layer speaks. Imports nothing of the rest."""
