"""Worlds of simple solids, actors moving in them, a vehicle and its sensors: seeded, geometry-true, quick.

What is simplified: every solid is an upright box or cylinder; actors change speed at once; between the start
and the end of a sweep they move on a straight line; the robot does not see itself; a beam is a line, so it
neither splits at edges nor widens; a 2D scan is taken at one moment; the camera has a global shutter and flat
shading.
"""
