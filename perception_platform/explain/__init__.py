"""Why the robot did what it did: the records of a run as a page and a picture for people."""
