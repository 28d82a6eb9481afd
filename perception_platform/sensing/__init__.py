"""Sensors without ROS: camera and lidar sources that come back after a loss, and the checks of what they deliver."""
