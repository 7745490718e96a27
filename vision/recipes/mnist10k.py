"""MNIST's 10,000 test images, re-split: a conv net, trained three ways and measured under the same radii."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import vision
from ..data import MNIST10K

FAMILY = Family("MNIST-10k", data=(MNIST10K,))


@FAMILY.recipe("mnist10k-standard", "conv net, standard", minutes=1)
def standard() -> vision.Classification:
    return vision.Classification(
        data="mnist10k",
        subject="conv net, standard",
        architecture=vision.ConvNet(channels=(16, 32)),
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=2e-3)),
        training=rs.training.Training(epochs=10, batch_size=64),
        perturbations=tuple(rs.Linf(eps, clip=(0.0, 1.0)) for eps in (0.1, 0.2, 0.3)),
        measured=1000,
    )


@FAMILY.recipe("mnist10k-adversarial", "conv net, adversarial (PGD, eps 0.2)", minutes=3)
def adversarial() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, adversarial",
        update=rs.training.Descent(
            rs.training.Adversarial(
                perturbation=rs.Linf(0.2, clip=(0.0, 1.0)), radius=rs.training.Linear(length=4.0)
            ),
            optimizer=rs.training.Adam(rate=4e-3),
        ),
        training=rs.training.Training(
            epochs=20, batch_size=64, rate_schedule=rs.training.Steps(at=(16.0,)), keep_best_from=4.0
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.RobustAccuracy(perturbation=rs.Linf(0.2, clip=(0.0, 1.0)))
        ),
    )


# By IBP alone, at a radius a little above the one that it is for: Gowal et al. 2018, section 4; Zhang et al. 2020
# (CROWN-IBP), appendix, for the larger radius.
@FAMILY.recipe("mnist10k-certified", "conv net, certified (IBP, eps 0.35)", minutes=18)
def certified() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, certified",
        architecture=vision.ConvNet(channels=(32, 64), hidden=256),
        update=rs.training.Descent(
            rs.training.Certified(
                perturbation=rs.Linf(0.35, clip=(0.0, 1.0)),
                radius=rs.training.SmoothedRamp(begin=6.0, length=100.0),
                kappa=rs.training.Linear(start=1.0, end=0.25, length=1.0),
                beta=rs.training.Constant(0.0),
            ),
            optimizer=rs.training.Adam(rate=1e-3),
            gradient_norm=8.0,
        ),
        training=rs.training.Training(
            epochs=200,
            batch_size=100,
            rate_schedule=rs.training.Steps(at=(140.0, 175.0)),
            keep_best_from=106.0,
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.CertifiedAccuracy(perturbation=rs.Linf(0.3, clip=(0.0, 1.0)))
        ),
        interval_start=True,
    )
