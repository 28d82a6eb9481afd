"""What a robot file says about computing time: what is shed when it runs short, and what the system is asked for."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from perception_platform.robot.parts import Part

ShedStep = Literal["stale_frames", "camera_rate", "optional_heads", "geometric_only", "reduced_speed"]
SHED_STEPS: tuple[ShedStep, ...] = get_args(ShedStep)


class LoadShedding(Part):
    """Which steps the perception stage sheds load in, and when it takes them.

    Risk is the share of its deadline that a high ``quantile`` of the frames of the last ``window_s`` used up. After
    ``climb_after_s`` above ``climb_above`` the next step comes into force, after ``descend_after_s`` below
    ``descend_below`` the last one is given back.

    Attributes:
        steps: those that this robot takes, in their fixed order.
        camera_every: in step camera_rate, each camera is looked at with one sweep in so many.
        speed_factor: in step reduced_speed, the share of the allowed speed that is left.
    """

    steps: list[ShedStep] = Field(default=list(SHED_STEPS))
    quantile: Annotated[float, Field(gt=0, le=1)] = 0.9
    window_s: Annotated[float, Field(gt=0, le=10)] = 1.0
    climb_above: Annotated[float, Field(gt=0, le=1)] = 0.9
    climb_after_s: Annotated[float, Field(gt=0, le=10)] = 1.0
    descend_below: Annotated[float, Field(gt=0, lt=1)] = 0.6
    descend_after_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    camera_every: Annotated[int, Field(ge=2, le=100)] = 2
    speed_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @field_validator("steps")
    @classmethod
    def _in_their_order(cls, steps: list[ShedStep]) -> list[ShedStep]:
        if steps != [step for step in SHED_STEPS if step in steps]:
            raise ValueError(f"each once at most and in this order: {', '.join(SHED_STEPS)}")
        return steps

    @model_validator(mode="after")
    def _comes_to_rest(self) -> LoadShedding:
        if self.descend_below >= self.climb_above:
            raise ValueError("descend_below has to be less than climb_above")
        if self.climb_after_s < self.window_s:
            raise ValueError(
                "climb_after_s is less than window_s: frames from before a step would ask for another"
            )
        if self.descend_after_s < self.climb_after_s:
            raise ValueError("descend_after_s is less than climb_after_s: load is taken back too soon")
        return self


class Realtime(Part):
    """What a node asks the operating system for; each is reported where the system refuses it.

    Attributes:
        cpus: cores that its threads may run on; None for all.
        fifo_priority: priority of its threads under ``SCHED_FIFO``, ahead of every ordinary thread of the machine;
            None for the usual scheduler.
        lock_memory: never page out memory that it has used.
        gc: ``freeze`` sets apart what exists once the node is set up, so that no later collection of garbage looks
            through it; ``automatic`` leaves Python's ways alone.
    """

    cpus: Annotated[list[Annotated[int, Field(ge=0, lt=8192)]], Field(min_length=1)] | None = None
    fifo_priority: Annotated[int, Field(ge=1, le=99)] | None = None
    lock_memory: bool = False
    gc: Literal["freeze", "automatic"] = "freeze"
