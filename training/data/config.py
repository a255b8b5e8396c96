"""The data section of a recipe: which images, how they are split, and what is done to them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "validation", "test"]
Binarise = Literal["none", "dynamic", "threshold"]


class Data(BaseModel):
    """Which images to learn from.

    Held-out images follow the published codes: of `numpy.random.RandomState(validation_seed).permutation(n)`, the
    last `validation` entries are the validation split and the `test_images` before them, if any, the test split.
    So the published VDVAE splits are: ImageNet-32 and -64, 5,000 with seed 42; FFHQ-256, 7,000 with seed 5;
    CIFAR-10, 5,000 with seed 11172018 from the start (https://github.com/openai/vdvae/blob/main/data.py).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["idx", "cifar10", "folder", "npy"]
    path: str = Field(min_length=1, description="folder that holds the files, relative to the data root")
    name: str = Field(min_length=1, description="what cards and messages call the data, such as MNIST")
    train: str | None = Field(default=None, description="npy: the training file; folder: the training subfolder")
    test: str | None = Field(
        default=None, description="npy, folder: the same for the test split; without it, see test_images"
    )
    image_size: int | None = Field(
        default=None, gt=0, description="folder: resize to this height and width; other formats: checked against it"
    )
    channels: Literal[1, 3] | None = Field(
        default=None, description="folder: grey or RGB (default RGB); other formats: checked against it"
    )
    label_names: tuple[str, ...] | None = Field(default=None, description="idx: what label k is called")
    validation: int = Field(default=0, ge=0, description="images held out of the training split")
    validation_seed: int = Field(default=0, ge=0, lt=2**32)
    validation_from: Literal["end", "start"] = Field(
        default="end",
        description="which end of the permutation is held out; start is what scikit-learn's train_test_split does",
    )
    test_images: int = Field(
        default=0,
        ge=0,
        description="npy, folder without `test`: images held out of the training split as the test split; "
        "0: the validation images are the test split too, as published for FFHQ",
    )
    flips: bool = Field(default=False, description="mirror each training image left to right with probability 1/2")
    binarise: Binarise = Field(
        default="none",
        description="dynamic: a pixel is white with probability value/255, drawn anew at each access; "
        "threshold: white from 128 on",
    )
    shrink: int = Field(
        default=1,
        ge=1,
        description="each square of shrink x shrink pixels becomes one, its mean rounded to the nearest value, before "
        "anything else is done to the images: 2 makes 14x14 of MNIST's 28x28. image_size is that of before",
    )
    bits: int = Field(
        default=8,
        ge=1,
        le=8,
        description="quantise the images themselves: only the first `bits` bits of each value stay. The bit depth of "
        "p(x|z) is the model's likelihood; published 5-bit VDVAE and NVAE read 8-bit images, so leave this at 8",
    )

    @model_validator(mode="after")
    def _check(self) -> Data:
        if self.format in ("idx", "cifar10") and (self.train or self.test or self.test_images):
            raise ValueError(f"train, test and test_images are for npy and folder; {self.format} has fixed names")
        if self.format == "npy" and self.train is None:
            raise ValueError("npy needs `train`, the name of the .npy file of the training split")
        if self.test is not None and self.test_images:
            raise ValueError("give `test`, where the test images are, or test_images, how many to hold out, not both")
        if self.format == "folder" and self.image_size is None:
            raise ValueError("folder needs image_size, the height and width that all images are resized to")
        if self.format != "idx" and self.label_names is not None:
            raise ValueError("label_names is for idx; other formats bring their own, or have no labels")
        return self
