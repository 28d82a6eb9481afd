"""How good it is, against labels: the tracker on public boxes, tracking metrics, baselines."""
