"""ROS 2: the topic table, QoS, conversions, parameters. Only home of message imports, with ``nodes/``."""
