"""Core values from and to ROS messages, by shape: no message package is imported.

Decoders take anything with the attributes of the message: what rclpy delivers or what was read from a bag.
Encoders take ``make``, which returns a blank message of a ROS type name, and fill it. Malformed input raises
InputError.
"""
