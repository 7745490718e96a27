"""Training: one loop, objectives, schedules, optimisers."""

from robustsuite.training.initialization import initialize_for_ibp, seeded
from robustsuite.training.loop import Training, fit, load_model
from robustsuite.training.objective import Graphs, Loss, Objective, Progress
from robustsuite.training.objectives import Adversarial, Certified, Standard
from robustsuite.training.optimizers import SGD, Adam, Optimizer
from robustsuite.training.schedules import Constant, Cosine, Linear, Schedule, SmoothedRamp, Steps

__all__ = [
    "SGD",
    "Adam",
    "Adversarial",
    "Certified",
    "Constant",
    "Cosine",
    "Graphs",
    "Linear",
    "Loss",
    "Objective",
    "Optimizer",
    "Progress",
    "Schedule",
    "SmoothedRamp",
    "Standard",
    "Steps",
    "Training",
    "fit",
    "initialize_for_ibp",
    "load_model",
    "seeded",
]
