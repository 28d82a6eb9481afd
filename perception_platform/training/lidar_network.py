"""The network that looks at sweeps from above: one trunk, heads for objects, free space and an embedding."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from perception_platform.perception.bird_view import BITS, CLASSES, EMBEDDING, REGRESSED

_WIDTHS = (16, 40, 64)


def _conv(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = functional.relu(x + self.second(self.first(x)))
        return made


class BirdViewNetwork(nn.Module):
    """(B, BITS, CELLS, CELLS) bytes to logits on a grid half as fine."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.stem = nn.Sequential(_conv(BITS, fine, 2), _conv(fine, fine))
        self.down = nn.Sequential(_conv(fine, middle, 2), _Residual(middle))
        self.deep = nn.Sequential(_conv(middle, coarse, 2), _Residual(coarse), _Residual(coarse))
        self.lift_deep = nn.Conv2d(coarse, middle, 1)
        self.join_middle = _conv(middle, middle)
        self.lift_middle = nn.Conv2d(middle, fine, 1)
        self.join_fine = _conv(fine, fine)
        self.classes = nn.Conv2d(fine, len(CLASSES), 3, 1, 1)
        self.regressed = nn.Conv2d(fine, REGRESSED, 3, 1, 1)
        self.occupied = nn.Conv2d(fine, 1, 1)
        self.embedding = nn.Linear(coarse, EMBEDDING)
        nn.init.constant_(self.classes.bias, -4.0)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Class logits, regressed values (``bird_view.REGRESSED``), occupancy logits, embedding."""
        fine = self.stem(planes.float())
        middle = self.down(fine)
        deep = self.deep(middle)
        middle = self.join_middle(
            middle + functional.interpolate(self.lift_deep(deep), scale_factor=2.0, mode="nearest")
        )
        fine = self.join_fine(
            fine + functional.interpolate(self.lift_middle(middle), scale_factor=2.0, mode="nearest")
        )
        # The trunk is not trained through the embedding: it says what the trunk saw, and a linear reader's scene kind.
        return (
            self.classes(fine),
            self.regressed(fine),
            self.occupied(fine),
            self.embedding(deep.mean((2, 3))),
        )


class Deployed(nn.Module):
    """What is exported: scores at their peaks, the rest as it is."""

    def __init__(self, network: BirdViewNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Peaks (B, classes, H, W), regressed, share occupied (B, 1, H, W), embedding."""
        classes, regressed, occupied, embedding = self.network(planes)
        scores = classes.sigmoid()
        highest = functional.max_pool2d(scores, 3, 1, 1)
        return scores * (scores >= highest).to(scores.dtype), regressed, occupied.sigmoid(), embedding
