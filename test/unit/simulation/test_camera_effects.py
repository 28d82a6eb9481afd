"""What light and dirt make of an image, and what the sensor watch makes of that."""

import numpy as np

from perception_platform.core.sensor_data import Image, SensorProblem
from perception_platform.sensing.image_checks import ImageChecks
from perception_platform.simulation.camera_effects import CameraEffects, through_lens

GREY = Image(0, "camera", "camera", np.full((240, 320, 3), 140, np.uint8))


def seen(effects: CameraEffects, count: int = 6) -> frozenset[SensorProblem]:
    checks = ImageChecks()
    for k in range(count):
        checks.observe(through_lens(GREY, effects, np.random.default_rng(k)))
    return checks.problems


def test_a_clean_lens_by_day_is_no_problem():
    assert seen(CameraEffects()) == frozenset()


def test_night_is_dark_and_glare_saturates():
    assert seen(CameraEffects(light=0.02)) == {SensorProblem.DARK_IMAGE}
    assert seen(CameraEffects(glare=0.9)) == {SensorProblem.SATURATED_IMAGE}
    assert seen(CameraEffects(glare=0.1)) == frozenset()


def test_blur_and_dirt_take_detail_where_they_are():
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::8] = 255
    image = Image(0, "camera", "camera", stripes)

    def contrast(bgr):
        return float(np.abs(np.diff(bgr.astype(float), axis=1)).mean())

    rng = np.random.default_rng
    clean, blurred = (through_lens(image, CameraEffects(blur_px=b), rng(0)).bgr for b in (0.0, 3.0))
    dirty = through_lens(image, CameraEffects(dirt=0.3), rng(0)).bgr
    assert contrast(blurred) < 0.3 * contrast(clean)
    assert contrast(dirty[200:]) < 0.3 * contrast(dirty[:100])
