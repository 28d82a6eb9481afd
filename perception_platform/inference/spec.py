"""What a model's description may say of the backends that run it, and of the outputs that they have to give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perception_platform.robot.parts import NonNegative, Part, Positive


class OnnxSpec(Part):
    """onnxruntime on this machine, by the first of the providers that it has."""

    kind: Literal["onnxruntime"]
    providers: Annotated[list[Literal["tensorrt", "cuda", "cpu"]], Field(min_length=1)] = Field(
        default=["cpu"]
    )


class TorchSpec(Part):
    """PyTorch on this machine.

    Attributes:
        program: what ``torch.export.save`` wrote, in the model's folder.
        device: where it runs; ``auto``: on the GPU where there is one.
    """

    kind: Literal["torch"]
    program: Annotated[str, Field(pattern=r"^[^/\\]+\.pt2$")]
    device: Literal["auto", "cpu", "cuda"] = "auto"


class RemoteSpec(Part):
    """A server of the Open Inference Protocol v2 (Triton, KServe, …).

    Attributes:
        url: where it is, e.g. ``http://127.0.0.1:8000``.
        model: the model's name there.
        version: its version there; none: the server chooses.
        timeout_ms: how long to wait for each answer of the network.
        binary: send and take tensors as bytes (the protocol's binary extension) and not as JSON numbers.
    """

    kind: Literal["remote"]
    url: Annotated[str, Field(pattern=r"^https?://[^/]+$")]
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    version: str = ""
    timeout_ms: Positive = 100.0
    binary: bool = True


BackendSpec = Annotated[OnnxSpec | TorchSpec | RemoteSpec, Field(discriminator="kind")]


class GoldenSpec(Part):
    """Inputs and outputs that came with a model, in a ``.npz`` of arrays named ``input/NAME`` and ``output/NAME``.

    Attributes:
        file: in the model's folder.
        rtol: an output may differ by this share of its own ...
        atol: ... and by this.
    """

    file: Annotated[str, Field(pattern=r"^[^/\\]+\.npz$")]
    rtol: NonNegative = 1e-3
    atol: NonNegative = 1e-4
