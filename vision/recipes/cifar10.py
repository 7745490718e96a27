"""CIFAR-10: a conv net, trained three ways and measured under the same radii."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import vision
from ..data import CIFAR10

FAMILY = Family("CIFAR-10", data=(CIFAR10,))


@FAMILY.recipe("cifar10-standard", "conv net, standard", minutes=40)
def standard() -> vision.Classification:
    return vision.Classification(
        data="cifar10",
        subject="conv net, standard",
        architecture=vision.ConvNet(channels=(32, 64, 128), repeats=1, hidden=256, mean=0.47, deviation=0.25),
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=1e-3)),
        training=rs.training.Training(epochs=30, batch_size=64),
        perturbations=tuple(rs.Linf(eps, clip=(0.0, 1.0)) for eps in (1 / 255, 2 / 255, 8 / 255)),
        measured=1000,
    )


@FAMILY.recipe("cifar10-adversarial", "conv net, adversarial (PGD, eps 2/255)", minutes=500)
def adversarial() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, adversarial",
        update=rs.training.Descent(
            rs.training.Adversarial(
                perturbation=rs.Linf(2 / 255, clip=(0.0, 1.0)), radius=rs.training.Linear(length=12.0)
            ),
            optimizer=rs.training.Adam(rate=1e-3),
        ),
        training=rs.training.Training(
            epochs=60, batch_size=64, rate_schedule=rs.training.Steps(at=(48.0,)), keep_best_from=12.0
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.RobustAccuracy(perturbation=rs.Linf(2 / 255, clip=(0.0, 1.0)))
        ),
    )


# By IBP alone, at a radius a little above the one that it is for: Gowal et al. 2018, section 4; Zhang et al. 2020
# (CROWN-IBP), appendix, for the larger radius.
@FAMILY.recipe("cifar10-certified", "conv net, certified (IBP, eps 2.2/255)", minutes=30)
def certified() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, certified",
        architecture=vision.ConvNet(channels=(32, 64, 128), hidden=256, mean=0.47, deviation=0.25),
        update=rs.training.Descent(
            rs.training.Certified(
                perturbation=rs.Linf(2.2 / 255, clip=(0.0, 1.0)),
                radius=rs.training.SmoothedRamp(begin=1.0, length=16.0),
                kappa=rs.training.Linear(start=1.0, end=0.5, length=1.0),
                beta=rs.training.Constant(0.0),
            ),
            optimizer=rs.training.Adam(rate=1e-3),
            gradient_norm=8.0,
        ),
        training=rs.training.Training(
            epochs=26, batch_size=128, rate_schedule=rs.training.Steps(at=(20.0, 24.0)), keep_best_from=17.0
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.CertifiedAccuracy(perturbation=rs.Linf(2 / 255, clip=(0.0, 1.0)))
        ),
        interval_start=True,
    )
