"""What people look at while the stack runs: the terminal's board and the Foxglove live view. Free of ROS."""
