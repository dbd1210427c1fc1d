"""Radiographs and volumes as embeddings.

`ResNet` learns from scratch (MONAI, 2-D and 3-D); `PretrainedImage` starts from any transformers vision
model. Pixels are in [0, 1]. No batch statistics are learned from our patients: batch normalisation would
let the zeros of absent images, and a batch of one, change everybody's embedding.
"""

from collections.abc import Callable
from math import gcd
from typing import Literal

import torch
from jaxtyping import Float
from monai.networks.nets import ResNet as MonaiResNet
from torch import Tensor, nn

from mhdiff.encoders.base import Encoder, Inputs
from mhdiff.encoders.hub import load_model
from mhdiff.encoders.specs import ImageSpec
from ontology.errors import InputError

_BLOCKS: dict[int, tuple[str, list[int]]] = {
    10: ("basic", [1, 1, 1, 1]),
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
}


def mean_grey(pixels: Float[Tensor, "batch channels *size"]) -> Float[Tensor, "batch channels *size"]:
    """Give every image its own mean grey: no structure, and neither black nor white counts as nothing.

    Args:
        pixels: The images.
    """
    axes = tuple(range(2, pixels.ndim))
    return pixels.mean(dim=axes, keepdim=True).expand_as(pixels).clone()


class ImageEncoder(Encoder):
    """What image encoders share: attributions attach to the pixels; the baseline is the mean grey."""

    unit_axis = 1

    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch channels *size"]:
        """Give the pixels.

        Args:
            inputs: `pixels`.
        """
        return inputs["pixels"]

    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch channels *size"]:
        """Give every image its own mean grey.

        Args:
            inputs: `pixels`.
        """
        return mean_grey(inputs["pixels"])


class ResNet(ImageEncoder):
    """A MONAI residual network from scratch, with group normalisation and SiLU.

    SiLU instead of ReLU: the second derivative, which attribution penalties train through, is not zero
    everywhere.

    Args:
        spec: The images.
        dim: Width of the embedding.
        depth: Number of layers.
        width: Channels of the first stage; each of the three further stages doubles them. 64 is the
            published network, 16 suits a laptop.
        stem_stride: Stride of the first convolution.
        stem_pool: Whether the first stage is preceded by a max pooling of stride 2.
        positions: Side of the grid of places whose features are embedded, each by its own weights; with 1 they are
            averaged over all places, and where something is has to be in the features themselves. 4 is all that
            images of 64 x 64 have without `stem_pool`. It has more weights to learn: see docs/modalities.md first.
    """

    def __init__(
        self,
        spec: ImageSpec,
        dim: int,
        depth: Literal[10, 18, 34, 50] = 18,
        width: int = 64,
        stem_stride: int = 2,
        stem_pool: bool = True,
        positions: int = 1,
    ) -> None:
        super().__init__(dim)
        if width < 4 or width % 4:
            raise InputError(f"width is {width}", remedy="Give a multiple of 4, such as 16 or 64")
        block, layers = _BLOCKS[depth]
        self.net = MonaiResNet(
            block=block,
            layers=layers,
            block_inplanes=[width, 2 * width, 4 * width, 8 * width],
            spatial_dims=spec.spatial_dims,
            n_input_channels=spec.channels,
            conv1_t_size=7 if spec.spatial_dims == 2 else 5,
            conv1_t_stride=stem_stride,
            no_max_pool=not stem_pool,
            feed_forward=False,
            bias_downsample=False,
        )
        # MONAI's `norm` and `act` arguments do not reach the blocks, so both are exchanged after building.
        _exchange(self.net, nn.modules.batchnorm._BatchNorm, _group_norm)
        _exchange(self.net, nn.ReLU, lambda old: nn.SiLU())
        if positions < 1:
            raise InputError(f"positions is {positions}", remedy="Give 1 or more, such as 4")
        if positions > 1:
            self.net.avgpool = (nn.AdaptiveAvgPool2d if spec.spatial_dims == 2 else nn.AdaptiveAvgPool3d)(
                positions
            )
        channels = 8 * width * (4 if block == "bottleneck" else 1)
        self.project = nn.Linear(channels * positions**spec.spatial_dims, dim)

    def encode(self, x: Float[Tensor, "batch channels *size"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: The pixels.
            inputs: Not read.
        """
        return self.project(self.net(x))


class PretrainedImage(ImageEncoder):
    """A pretrained transformers vision model (ResNet, ConvNeXt, DINOv2, ViT ...), averaged over positions.

    Grey images are repeated over the channels that the model expects. Batch normalisation keeps its
    pretrained statistics.

    Args:
        spec: The images; 2-D.
        dim: Width of the embedding.
        name_or_path: Folder or hub id.
        freeze: Train only the projection.
        local_files_only: Never use the network.
        mean: Mean of each channel that the model was trained with; the default is ImageNet's.
        std: Standard deviation of each channel that the model was trained with.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        spec: ImageSpec,
        dim: int,
        name_or_path: str,
        freeze: bool = True,
        local_files_only: bool = False,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__(dim)
        if spec.spatial_dims != 2:
            raise InputError(
                "pretrained image models read 2-D images", remedy="Use mhdiff.encoders.ResNet for volumes"
            )
        model = load_model(name_or_path, local_files_only=local_files_only)
        model = getattr(model, "vision_model", model)  # CLIP-like models hold a text half as well
        self.channels = int(getattr(model.config, "num_channels", 0))
        if not self.channels:
            raise InputError(
                "this is no image model",
                path=name_or_path,
                remedy="Give a vision model, such as a ResNet or a DINOv2",
            )
        if spec.channels not in (1, self.channels):
            raise InputError(
                f"the images have {spec.channels} channels and the model wants {self.channels}",
                path=name_or_path,
                remedy="Read the images with 1 channel",
            )
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not freeze and not name.endswith("mask_token"))
        self.net, self.freeze = model, freeze
        shape = (1, -1, 1, 1)
        repeats = self.channels if len(mean) == 1 else 1
        self.register_buffer(
            "mean", torch.tensor(mean * repeats)[: self.channels].view(shape), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor(std * repeats)[: self.channels].view(shape), persistent=False
        )
        with torch.no_grad():
            features = _pool(
                model.eval()(pixel_values=torch.zeros(1, self.channels, *spec.size)).last_hidden_state
            )
        self.project = nn.Linear(features.shape[-1], dim)
        self.train()

    @property
    def frozen(self) -> bool:
        """Whether only the projection is trained."""
        return self.freeze

    def features(self, inputs: Inputs) -> Float[Tensor, "batch width"]:
        """Give the pooled features of a frozen network, otherwise the embedding.

        Args:
            inputs: `pixels`.
        """
        return self._pooled(self.differentiable(inputs)) if self.freeze else self(inputs)

    def _pooled(self, x: Tensor) -> Tensor:
        x = (x.expand(-1, self.channels, -1, -1) - self.mean) / self.std
        return _pool(self.net(pixel_values=x).last_hidden_state)

    def encode(self, x: Float[Tensor, "batch channels *size"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the embedding.

        Args:
            x: The pixels in [0, 1].
            inputs: Not read.
        """
        return self.project(self._pooled(x))

    def train(self, mode: bool = True) -> "PretrainedImage":
        """Switch to training, except what is frozen and the statistics of batch normalisation.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        for module in self.net.modules():
            if self.freeze or isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = False
        return self


def _pool(features: Tensor) -> Tensor:
    """Average over positions: `[batch, channels, height, width]` or `[batch, positions, channels]`."""
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features.mean(dim=1)


def _group_norm(old: nn.Module) -> nn.GroupNorm:
    """Groups of at least four channels, so that even a single position has a variance."""
    channels = int(old.num_features)  # type: ignore[arg-type]
    return nn.GroupNorm(gcd(channels // 4, 8), channels)


def _exchange(module: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> None:
    """Replace every descendant of a kind."""
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            _exchange(child, kind, make)
