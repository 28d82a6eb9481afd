"""What scenario files may put into the world, by name: each maker gives a body in its own frame, x ahead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from perception_platform.simulation import catalogue
from perception_platform.simulation.catalogue import Body
from perception_platform.simulation.solids import Bgr, Surface, box, cylinder, join


def person(height_m: float = 1.75, reflectivity: float = 0.6) -> Body:
    """A walker; ``reflectivity`` of the clothes."""
    walker = catalogue.walker(height_m)
    dressed = np.minimum(walker.standing.reflectivity, reflectivity)
    return replace(walker, standing=replace(walker.standing, reflectivity=dressed))


def crouching(height_m: float = 0.8, reflectivity: float = 0.5) -> Body:
    """Somebody who squats or kneels: legs folded under a bent trunk."""
    parts = [
        box((0.0, 0.0), (0.55, 0.45, 0.4 * height_m), bgr=catalogue.TROUSERS, reflectivity=reflectivity),
        box((0.05, 0.0), (0.35, 0.42, 0.4 * height_m), bottom_m=0.4 * height_m, bgr=catalogue.VEST,
            reflectivity=reflectivity),
        cylinder((0.12, 0.0), 0.18, 0.2 * height_m, bottom_m=0.8 * height_m, bgr=catalogue.SKIN),
    ]  # fmt: skip
    return Body.rigid(join(parts))


def lying(length_m: float = 1.7, thickness_m: float = 0.25, reflectivity: float = 0.4) -> Body:
    """Somebody on the floor, along x."""
    parts = [
        box((0.15 * length_m, 0.0), (0.45 * length_m, 0.42, thickness_m), bgr=catalogue.VEST,
            reflectivity=reflectivity),
        box((-0.25 * length_m, 0.0), (0.5 * length_m, 0.32, 0.65 * thickness_m), bgr=catalogue.TROUSERS,
            reflectivity=reflectivity),
        cylinder((0.44 * length_m, 0.0), 0.2, 0.8 * thickness_m, bgr=catalogue.SKIN),
    ]  # fmt: skip
    return Body.rigid(join(parts))


def ladder_worker(height_m: float = 3.0, feet_m: float = 1.2) -> Body:
    """A step ladder with somebody standing on it."""
    rails = [
        cylinder((x, y), 0.06, 0.7 * height_m, bgr=(180, 180, 185), reflectivity=0.4)
        for x in (-0.45, 0.45)
        for y in (-0.25, 0.25)
    ]
    rungs = [
        box((0.4, 0.0), (0.06, 0.5, 0.03), bottom_m=z, bgr=(180, 180, 185))
        for z in np.arange(0.3, 0.7 * height_m, 0.3)
    ]
    worker = catalogue.person(0.0)
    lifted = replace(worker, centers_m=worker.centers_m + np.array([0.0, 0.0, feet_m]))
    return Body.rigid(join([*rails, *rungs, lifted]))


def cyclist(height_m: float = 1.7) -> Body:
    """A bicycle with its rider."""
    parts = [
        box((0.52, 0.0), (0.66, 0.05, 0.66), bgr=catalogue.DARK, reflectivity=0.2),
        box((-0.52, 0.0), (0.66, 0.05, 0.66), bgr=catalogue.DARK, reflectivity=0.2),
        box((0.0, 0.0), (0.6, 0.06, 0.35), bottom_m=0.5, bgr=(60, 60, 200)),
        box((-0.1, 0.0), (0.45, 0.3, 0.5), bottom_m=0.4, bgr=catalogue.TROUSERS),
        box((-0.05, 0.0), (0.35, 0.42, 0.55), bottom_m=0.9, bgr=catalogue.VEST, reflectivity=0.5),
        cylinder((0.1, 0.0), 0.2, height_m - 1.45, bottom_m=1.45, bgr=catalogue.SKIN),
    ]
    return Body.rigid(join(parts))


def wheelchair_user() -> Body:
    """Somebody in a wheelchair."""
    parts = [box((0.0, y), (0.6, 0.05, 0.6), bgr=catalogue.DARK, reflectivity=0.2) for y in (-0.3, 0.3)]
    parts.append(box((0.0, 0.0), (0.8, 0.5, 0.5), bottom_m=0.1, bgr=catalogue.TROUSERS, reflectivity=0.4))
    parts.append(box((-0.15, 0.0), (0.3, 0.45, 0.6), bottom_m=0.6, bgr=catalogue.VEST, reflectivity=0.5))
    parts.append(cylinder((-0.1, 0.0), 0.18, 0.22, bottom_m=1.2, bgr=catalogue.SKIN))
    return Body.rigid(join(parts))


def car(length_m: float = 4.4, reflectivity: float = 0.3) -> Body:
    """A passenger car."""
    parts = [
        box((0.0, 0.0), (length_m, 1.8, 0.6), bottom_m=0.2, bgr=(160, 60, 60), reflectivity=reflectivity),
        box((-0.2, 0.0), (0.5 * length_m, 1.6, 0.6), bottom_m=0.8, bgr=(60, 50, 50), reflectivity=0.15),
    ]
    parts += [
        cylinder((x * length_m, y), 0.5, 0.35, bgr=catalogue.DARK, reflectivity=0.1)
        for x in (-0.3, 0.3)
        for y in (-0.7, 0.7)
    ]
    return Body.rigid(join(parts))


def van(length_m: float = 5.5) -> Body:
    """A panel van: tall, and nothing is seen through it."""
    parts = [
        box((0.0, 0.0), (length_m, 2.0, 2.1), bottom_m=0.25, bgr=(225, 225, 225), reflectivity=0.6),
        box((0.0, 0.0), (0.9 * length_m, 1.7, 0.25), bgr=catalogue.DARK, reflectivity=0.1),
    ]
    return Body.rigid(join(parts))


def truck(length_m: float = 8.0) -> Body:
    """A lorry; its body begins 0.9 m above the road, its wheels and bumper below."""
    parts = [
        box((-0.8, 0.0), (length_m - 1.6, 2.4, 2.6), bottom_m=0.9, bgr=(200, 200, 205), reflectivity=0.5),
        box((length_m / 2 - 0.8, 0.0), (1.6, 2.3, 2.2), bottom_m=0.5, bgr=(40, 40, 170), reflectivity=0.4),
        box((-length_m / 2 + 0.1, 0.0), (0.15, 2.2, 0.15), bottom_m=0.45, bgr=catalogue.DARK),
    ]
    parts += [
        cylinder((x * length_m, y), 0.9, 0.9, bgr=catalogue.DARK, reflectivity=0.1)
        for x in (-0.32, -0.18, 0.36)
        for y in (-0.95, 0.95)
    ]
    return Body.rigid(join(parts))


def forklift(load_length_m: float = 0.0, load_width_m: float = 0.8, load_bottom_m: float = 0.15) -> Body:
    """A counterbalance truck, forks ahead; with a load on them when ``load_length_m`` is positive."""
    parts = [catalogue.forklift()]
    if load_length_m > 0:
        parts.append(
            box((1.05 + load_length_m / 2, 0.0), (load_length_m, load_width_m, 0.6), bottom_m=load_bottom_m,
                bgr=(110, 140, 175), reflectivity=0.4)
        )  # fmt: skip
    return Body.rigid(join(parts))


def pallet(load_m: float = 0.0) -> Body:
    """A pallet, with a load of that height."""
    return Body.rigid(catalogue.pallet(load_m=load_m))


def shelf(seed: float = 0.0, bays: float = 1.0) -> Body:
    """A row of 2 m shelf bays along x, centred, with a panel at both ends."""
    count = max(1, round(bays))
    row = [
        catalogue.shelf_bay(round(seed) + i).placed((i - (count - 1) / 2) * 2.0, 0.0, 0.0)
        for i in range(count)
    ]
    ends = [box((side * count, 0.0), (0.04, 0.84, 2.7), bgr=(150, 110, 60)) for side in (-1, 1)]
    return Body.rigid(join([*row, *ends]))


def wall(length_m: float = 4.0) -> Body:
    """A wall across x."""
    return Body.rigid(catalogue.wall(length_m))


def glass(length_m: float = 2.0, height_m: float = 2.2, frame_m: float = 0.08) -> Body:
    """A pane across x between two posts; ``frame_m`` is how thick they are."""
    pane = box(
        (0.0, 0.0), (0.02, length_m, height_m), bgr=(210, 205, 195), reflectivity=0.4, surface=Surface.GLASS
    )
    posts = [
        box((0.0, side * (length_m + frame_m) / 2), (frame_m, frame_m, height_m), bgr=(90, 90, 95))
        for side in (-1, 1)
    ]
    return Body.rigid(join([pane, *posts]))


def mirror(length_m: float = 3.0, height_m: float = 2.0) -> Body:
    """A polished steel sheet across x: what it shows seems to stand behind it."""
    return Body.rigid(
        box((0.0, 0.0), (0.05, length_m, height_m), bgr=(200, 200, 200), surface=Surface.MIRROR)
    )


def block(
    length_m: float = 0.4,
    width_m: float = 0.4,
    height_m: float = 0.4,
    bottom_m: float = 0.0,
    reflectivity: float = 0.4,
) -> Body:
    """A plain box that begins ``bottom_m`` above the floor."""
    size = (length_m, width_m, height_m)
    return Body.rigid(
        box((0.0, 0.0), size, bottom_m=bottom_m, bgr=catalogue.CARTONS[0], reflectivity=reflectivity)
    )


def post(diameter_m: float = 0.1, height_m: float = 1.0, reflectivity: float = 0.4) -> Body:
    """A bollard or pillar."""
    bgr: Bgr = (60, 120, 230)
    return Body.rigid(cylinder((0.0, 0.0), diameter_m, height_m, bgr=bgr, reflectivity=reflectivity))


def cone(height_m: float = 0.5) -> Body:
    """A traffic cone, as three cylinders that get thinner."""
    third = height_m / 3
    parts = [
        cylinder((0.0, 0.0), d, third, bottom_m=i * third, bgr=(30, 100, 240), reflectivity=0.6)
        for i, d in enumerate((0.3, 0.2, 0.1))
    ]
    return Body.rigid(join(parts))


THINGS: Mapping[str, Callable[..., Body]] = {
    maker.__name__: maker
    for maker in (
        person, crouching, lying, ladder_worker, cyclist, wheelchair_user, car, van, truck, forklift, pallet, shelf,
        wall, glass, mirror, block, post, cone,
    )
}  # fmt: skip


def check_arguments(thing: str, given: set[str]) -> None:
    """See that there is such a thing and that it takes these arguments.

    Raises:
        ValueError: names what is there.
    """
    if thing not in THINGS:
        raise ValueError(f"there is no thing {thing!r}, only {', '.join(THINGS)}")
    known = list(inspect.signature(THINGS[thing]).parameters)
    for name in sorted(given):
        if name not in known:
            raise ValueError(f"{thing} has no {name!r}, only {', '.join(known) or 'nothing'}")


@lru_cache(maxsize=4096)
def _body(thing: str, arguments: tuple[tuple[str, float], ...]) -> Body:
    return THINGS[thing](**dict(arguments))


def body(thing: str, arguments: Mapping[str, float]) -> Body:
    """The body of a thing; the same one for the same arguments."""
    return _body(thing, tuple(sorted(arguments.items())))
