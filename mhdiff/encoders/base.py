"""What every encoder is: a differentiable point x_m = d(inputs), and z_m = e(x_m, inputs).

Splitting the forward pass in two is what makes attributions possible: pixels, word embeddings, laboratory
values and code weights are the points x_m where gradients are taken, and what cannot be differentiated
(token ids, masks) stays beside them untouched.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

Inputs = dict[str, Tensor]


class Encoder(nn.Module, ABC):
    """From one modality's inputs to its embedding z_m.

    A subclass is built as `(spec, dim, **hyperparameters)`. Rows of patients who lack the modality arrive
    as zeros; their embedding must be finite and is thrown away afterwards. No statistic may cross from one
    row to another, or an absent patient would change the others.

    Args:
        dim: Width of the embedding.
    """

    #: Axis of the differentiable tensor along which the parts of one pixel or token lie (channels, hidden states);
    #: its other axes are then a grid, on which neighbours belong together. None where each number is a unit of its own.
    unit_axis: int | None = None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch *shape"]:
        """Give the tensor that attributions attach to.

        Args:
            inputs: The modality's named tensors.
        """

    @abstractmethod
    def encode(self, x: Float[Tensor, "batch *shape"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: What `differentiable` gave, or a point on the path from the baseline to it.
            inputs: The modality's named tensors, of which only those that x does not replace are read.
        """

    @abstractmethod
    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch *shape"]:
        """Give the point that carries no information, shaped like `differentiable`.

        Args:
            inputs: The modality's named tensors.
        """

    @property
    def frozen(self) -> bool:
        """Whether everything before a last linear map keeps pretrained weights; `features` then is that part."""
        return False

    def features(self, inputs: Inputs) -> Float[Tensor, "batch width"]:
        """Give what `mhdiff embed` stores: z_m, or what stands before the last linear map of a frozen network.

        Args:
            inputs: The modality's named tensors.
        """
        return self(inputs)

    def forward(self, inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding of the inputs.

        Args:
            inputs: The modality's named tensors.
        """
        return self.encode(self.differentiable(inputs), inputs)
