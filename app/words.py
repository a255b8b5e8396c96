"""What the numbers on the screens mean, each said once: shown on hover and on focus, and read by screen readers."""

from __future__ import annotations

from app.client import Card
from app.html import attribute

LEVEL = "Levels count from the top: 0 is the coarsest"
RATE = (
    "Rate in bits: how much a level tells about an image, KL divergence of posterior from prior, mean over the test set"
)
SHARE = "Rate in bits and its share of all levels' bits in %, means over the test set"
TEMPERATURE = "Temperature T, a factor on the spread of the prior: 1 is the prior itself, 0 its mean"
LATENTS = "Height and width of the level's grid, and how many numbers it consists of"
FRAME = "Pictures of the film: an image by its number, and in between how far the way to the next one is gone, in %"
FILM = "How long the film takes, in seconds"
CELLS = "Cells of the level's own grid: each lies over a part of the image and holds some of the level's numbers"
RESOLUTION = "A resolution: height and width of the grid of its levels"
INK = "Ink moved in %: 1 − Σ min / Σ max of the image before and after, mean over the draws"
CHANGE = "Mean absolute change of a pixel in grey levels (0 to 255), mean over the draws"
DEVIATION = "From black to bright: standard deviation of a pixel over the draws, 0 to 1"
DRAWN = "Draw: how often a level's noise was drawn anew. The numbers are levels"
SEED = "The number that all noise of an image comes from: the same seed gives the same image"
IMAGES = "How many images, each from the next seed"
TIME = "What the server took to decode, in milliseconds"
COMPUTED = "Levels that had to be computed; those above were remembered"
OWN_RATE = "Rate in bits of this image's own latents, one draw of its posterior"
BITS_MAP = "From black to bright: bits per pixel, the rate of the levels spread over the image"
PSNR = "Peak signal to noise ratio in decibel: higher is closer to the original"
COST = "What the image costs in all: rate and distortion, in nats, and in bits for each pixel and channel (bits/dim)"
IMAGE_SIZE = "Height and width in pixels"
MODEL = "A model on this server, by its name"
DIFFERENCE = "Mean absolute difference of all pixels in grey levels (0 to 255)"
BITS = "Rate in bits of all levels of this resolution"
LIKELIHOOD = "What an image costs, by its estimator: in nats, and in bits for each pixel and channel (bits/dim)"
ASKED = "What both models are asked"
STEP = "Where you are in the tour"
SAID = "What is fixed and what moves"
TRY = "Something to try"
MEASURED = "How it was measured"
DEPTH = "Points that a model with so many levels draws; data are the truth"
DATASET = "The images that the models were trained on and measured with"
KL = "KL divergence in nats: how far the model is from the truth, 0 where it is the truth"


def moved(card: Card) -> str:
    """What "ink moved" or "change" is, whichever the model's images have."""
    return CHANGE if card.image.channels > 1 else INK


def tip(words: str) -> str:
    """The attribute that makes an element explain itself."""
    return f' title="{attribute(words)}"'
