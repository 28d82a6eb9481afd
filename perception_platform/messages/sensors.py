"""Sensor messages: clouds, scans, images, camera models, odometry."""

from perception_platform.messages.clouds import cloud_from_msg, cloud_to_msg, scan_to_cloud
from perception_platform.messages.images import (
    camera_info_to_msg,
    camera_model_from_msg,
    image_from_msg,
    image_to_msg,
)
from perception_platform.messages.motion import (
    ego_from_odometry,
    odometry_to_msg,
    transform_to_msg,
    twist_to_msg,
    velocity_from_command,
)

__all__ = [
    "camera_info_to_msg",
    "camera_model_from_msg",
    "cloud_from_msg",
    "cloud_to_msg",
    "ego_from_odometry",
    "image_from_msg",
    "image_to_msg",
    "odometry_to_msg",
    "scan_to_cloud",
    "transform_to_msg",
    "twist_to_msg",
    "velocity_from_command",
]
