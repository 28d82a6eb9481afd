"""The bench of sharing: what a pipeline of its own consists of; test/node runs it whole."""

from __future__ import annotations

from perception_platform.perception.graph import needed
from perception_platform.perception.load import load_graph
from perception_platform.robot.load import load_robot

AMR = load_robot("amr")


def test_a_pipeline_of_its_own_has_what_its_application_needs_and_no_more() -> None:
    steps = load_graph(AMR).steps
    (application,) = [step for step in steps if step.wired.name == "free_space_keeping"]
    names = [step.wired.name for step in needed(steps, application.makes)]
    assert names == ["ready", "ground", "in_the_way", "free_space", "free_space_keeping"]
