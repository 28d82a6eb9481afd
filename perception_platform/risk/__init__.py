"""How critical the surroundings are: measures with closed forms, the swept path, zones, the assessment."""
