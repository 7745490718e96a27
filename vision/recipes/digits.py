"""scikit-learn's digits, 8x8: a small conv net, trained three ways and measured under the same radii."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import vision
from ..data import DIGITS

FAMILY = Family("digits", data=(DIGITS,))


@FAMILY.recipe("digits-standard", "conv net, standard", minutes=0.2)
def standard() -> vision.Classification:
    return vision.Classification(
        data="digits",
        subject="conv net, standard",
        architecture=vision.ConvNet(channels=(16,)),
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=2e-3)),
        training=rs.training.Training(epochs=20, batch_size=64),
        perturbations=tuple(rs.Linf(eps, clip=(0.0, 1.0)) for eps in (0.05, 0.1, 0.15)),
    )


@FAMILY.recipe("digits-adversarial", "conv net, adversarial (PGD, eps 0.1)", minutes=0.3)
def adversarial() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, adversarial",
        update=rs.training.Descent(
            rs.training.Adversarial(
                perturbation=rs.Linf(0.1, clip=(0.0, 1.0)), radius=rs.training.Linear(length=5.0)
            ),
            optimizer=rs.training.Adam(rate=4e-3),
        ),
        training=rs.training.Training(
            epochs=25, batch_size=64, rate_schedule=rs.training.Steps(at=(20.0,)), keep_best_from=5.0
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.RobustAccuracy(perturbation=rs.Linf(0.1, clip=(0.0, 1.0)))
        ),
    )


@FAMILY.recipe("digits-certified", "conv net, certified (CROWN-IBP, eps 0.1)", minutes=0.4)
def certified() -> vision.Classification:
    return replace(
        standard(),
        subject="conv net, certified",
        update=rs.training.Descent(
            rs.training.Certified(
                perturbation=rs.Linf(0.1, clip=(0.0, 1.0)),
                radius=rs.training.SmoothedRamp(begin=1.5, length=19.5),
                kappa=rs.training.Linear(start=1.0, end=0.25, length=1.0),
            ),
            optimizer=rs.training.Adam(rate=1e-2),
            gradient_norm=8.0,
        ),
        training=rs.training.Training(
            epochs=30, batch_size=64, rate_schedule=rs.training.Steps(at=(25.5,)), keep_best_from=21.0
        ),
        held_out=rs.training.HeldOut(
            measure=rs.training.CertifiedAccuracy(
                perturbation=rs.Linf(0.1, clip=(0.0, 1.0)), method=rs.bounds.crown_ibp
            )
        ),
        interval_start=True,
    )
