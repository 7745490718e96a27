"""Training: one loop, data, objectives, updates, schedules, optimisers."""

from robustsuite.training.data import Augmented, Batch, Data, Subset, TensorData, hold_out
from robustsuite.training.held_out import Accuracy, CertifiedAccuracy, HeldOut, Measure, RobustAccuracy
from robustsuite.training.initialization import initialize_for_ibp, seeded
from robustsuite.training.loop import Training, fit, load_model
from robustsuite.training.objective import Graphs, Loss, Objective, Progress
from robustsuite.training.objectives import CAT, TRADES, Adversarial, Certified, Standard
from robustsuite.training.optimizers import SGD, Adam, Optimizer
from robustsuite.training.schedules import Constant, Cosine, Linear, Schedule, SmoothedRamp, Steps
from robustsuite.training.state import PerExample
from robustsuite.training.update import Request, Running, Setting, Step, Update
from robustsuite.training.updates import AWP, Averaged, Descent, of_model, of_state

__all__ = [
    "AWP",
    "CAT",
    "SGD",
    "TRADES",
    "Accuracy",
    "Adam",
    "Adversarial",
    "Augmented",
    "Averaged",
    "Batch",
    "Certified",
    "CertifiedAccuracy",
    "Constant",
    "Cosine",
    "Data",
    "Descent",
    "Graphs",
    "HeldOut",
    "Linear",
    "Loss",
    "Measure",
    "Objective",
    "Optimizer",
    "PerExample",
    "Progress",
    "Request",
    "RobustAccuracy",
    "Running",
    "Schedule",
    "Setting",
    "SmoothedRamp",
    "Standard",
    "Step",
    "Steps",
    "Subset",
    "TensorData",
    "Training",
    "Update",
    "fit",
    "hold_out",
    "initialize_for_ibp",
    "load_model",
    "of_model",
    "of_state",
    "seeded",
]
