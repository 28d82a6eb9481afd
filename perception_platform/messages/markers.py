"""Outlines as markers for RViz."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from perception_platform.core.geometry import Array
from perception_platform.messages.fields import Make, set_header

_LINE_STRIP, _ADD, _DELETE_ALL = 4, 0, 3
_PALE = 0.35
_COLOURS = {"stop": (0.9, 0.1, 0.1), "exclude": (0.5, 0.5, 0.5), "": (0.1, 0.4, 0.9)}
_AMBER = (1.0, 0.65, 0.0)


def outlines_to_msg(
    outlines: Sequence[tuple[str, str, Array]],
    entered: Collection[str],
    t_ns: int,
    frame_id: str,
    make: Make,
) -> Any:
    """A MarkerArray of (name, action, polygon (M, 2)); bold where something is inside; what was drawn before goes.

    Args:
        outlines: in the frame ``frame_id``, m.
        entered: names of those with something inside.
        t_ns: time of the drawing, ns.
        frame_id: of the polygons.
        make: makes blank messages.
    """
    array = make("visualization_msgs/msg/MarkerArray")
    clear = make("visualization_msgs/msg/Marker")
    set_header(clear, t_ns, frame_id)
    clear.action = _DELETE_ALL
    array.markers = [clear]
    for name, action, polygon_m in outlines:
        marker = make("visualization_msgs/msg/Marker")
        set_header(marker, t_ns, frame_id)
        marker.ns, marker.id, marker.type, marker.action = name, 0, _LINE_STRIP, _ADD
        marker.pose.orientation.w = 1.0
        marker.scale.x = 0.08 if name in entered else 0.03
        marker.color.r, marker.color.g, marker.color.b = _COLOURS.get(action, _AMBER)
        marker.color.a = 1.0 if name in entered else 1.0 - _PALE
        marker.points = [_point(corner, make) for corner in [*polygon_m.tolist(), polygon_m[0].tolist()]]
        array.markers.append(marker)
    return array


def _point(corner: list[float], make: Make) -> Any:
    point = make("geometry_msgs/msg/Point")
    point.x, point.y, point.z = corner[0], corner[1], 0.02
    return point
