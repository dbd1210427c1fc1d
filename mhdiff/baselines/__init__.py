"""What MH-Diff is compared with: other fusions, other heads, other networks of the prior, and other models altogether.

Each takes one part's place under that part's contract, so that encoders, masking, data, training and evaluation are
the same; `configs/baselines/` has a YAML for each. Paper baselines are written anew from their formulas and say in what
they differ.
"""

from mhdiff.baselines.concatenation import Concatenation
from mhdiff.baselines.diffmic import LabelDiffusion
from mhdiff.baselines.gated import GatedFusion
from mhdiff.baselines.late import LateFusion
from mhdiff.baselines.medcodim import Prompted
from mhdiff.baselines.medm2g import CrossGuided
from mhdiff.baselines.practice import GradientBoosting, LogisticRegression

__all__ = [
    "Concatenation",
    "CrossGuided",
    "GatedFusion",
    "GradientBoosting",
    "LabelDiffusion",
    "LateFusion",
    "LogisticRegression",
    "Prompted",
]
