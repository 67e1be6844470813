"""The tables and figures: which systems each shows, by which measures.

Numbered as in the paper; beside them stand four that the paper lacks: `leakage`, `composed`, `quality` and,
on synthetic faces, `truth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aif.runtime.errors import ConfigError, nearest_names


@dataclass(frozen=True)
class System:
    """A preset under the name that a reader knows.

    `repeated`: trained once with every seed of the budget; the others only with the first.
    """

    preset: str
    label: str
    repeated: bool = False


@dataclass(frozen=True)
class Exhibit:
    """One table or picture.

    `kind`: a table about the first attribute; a chart, a table by attribute; or a picture of edited faces.
    `columns` are keys of measures, with `{a}` for the attribute; `several`: whether the systems learn all
    attributes that are asked for, or the first alone.
    """

    name: str
    kind: Literal["table", "chart", "picture"]
    title: str
    caption: str
    systems: tuple[System, ...]
    columns: tuple[str, ...] = ()
    several: bool = False


_DCGAN = (
    System("authors", "IFcVAE-GAN", repeated=True),
    System("authors-no-aux", "without L_aux (naive cVAE-GAN)", repeated=True),
    System("authors-class-rec", "with L_class on reconstructions too"),
)
_OURS = System("residual", "IFcVAE-GAN, residual", repeated=True)
_NAIVE = System("residual-no-aux", "without L_aux (naive cVAE-GAN)", repeated=True)
_CLASS = System("residual-class-rec", "with L_class on reconstructions too")
_WHOLE = System("whole", "this project's preset whole")
_WHOLE_NAIVE = System("whole-no-aux", "whole without L_aux")
_RIVALS = (
    System("cvae-gan", "cVAE-GAN (Bao et al., 2017)"),
    System("icgan", "IcGAN (Perarnau et al., 2016)"),
    System("fader", "Fader Networks (Lample et al., 2017)"),
)
_PLAIN = (
    System("vae", "VAE"),
    System("beta-vae", "beta-VAE"),
    System("dip-vae-1", "DIP-VAE-I (Kumar et al., 2018)"),
    System("dip-vae-2", "DIP-VAE-II"),
)
_RESIDUAL = (_OURS, _NAIVE, _CLASS, *_RIVALS, _WHOLE, _WHOLE_NAIVE)

_EDITS = ("mse", "{a}.on.decoded", "{a}.off.decoded", "paper.on", "paper.off", "y.{a}")
_PROBES = ("probe.linear.mean.{a}", "probe.mlp.mean.{a}", "probe.mlp.sample.{a}", "majority.{a}")
_ABLATION = (*_EDITS, *_PROBES)

_ROW = "Each face: original, reconstruction, attribute off, attribute on."
_PICTURE = (
    *("mse", "psnr", "ssim", "{a}.on.decoded.kept", "{a}.off.decoded.kept", "reconstruction.flips"),
    *("{a}.on.decoded.collateral", "{a}.off.decoded.collateral", "frechet.reconstruction", "frechet.sample"),
)
_COMPOSED = tuple(
    f"{{a}}.{side}.{mode}{what}"
    for what in ("", ".kept", ".detail")
    for mode in ("delta", "replace")
    for side in ("on", "off")
)
_LEAKS = tuple(
    f"{what}.{code}.{{a}}"
    for code in ("mean", "sample")
    for what in ("balanced.linear", "balanced.mlp", "bits.mlp")
)
_TRUTH = tuple(
    f"truth.{side}.{what}.{where}"
    for side in ("on", "off")
    for what in ("edit", "nothing", "floor")
    for where in ("inside", "outside")
)
_TERMS = (
    _OURS,
    System("residual-rho-0.1", "rho 0.1"),
    System("residual-no-kl", "without L_KL"),
    System("residual-no-gan", "without L_gan"),
    System("residual-alpha-0.1", "alpha 0.1"),
)
_MAIN = (*_DCGAN[:2], *_RESIDUAL)

EXHIBITS = (
    Exhibit("table1", "table", "Table 1: the 64 px DCGAN",
            "The authors' networks (rho 0.1, delta 0.1, alpha 0.2) with one thing changed a row.",
            _DCGAN, _ABLATION),
    Exhibit("table2", "table", "Table 2: residual networks, and the other methods",
            "alpha 0.005, delta 0.005, rho 1.0; the other methods on the same networks, data and budget.",
            _RESIDUAL, _ABLATION),
    Exhibit("table3", "table", "Table 3: what each term is for",
            "The residual networks with one setting changed a row.", _TERMS, _ABLATION),
    Exhibit("figure2", "chart", "Figure 2: how well E_y classifies",
            "Held-out accuracy of the encoder's own y, beside a network of its size that does nothing else.",
            (_OURS, _WHOLE, System("classifier", "a classifier alone")), ("y.{a}",), several=True),
    Exhibit("figure3", "picture", "Figure 3: edits with and without L_aux, DCGAN", _ROW, _DCGAN[:2]),
    Exhibit("figure4", "picture", "Figure 4: edits with and without L_aux, residual networks", _ROW,
            (_OURS, _NAIVE, _WHOLE)),
    Exhibit("figure5", "picture", "Figure 5: other attributes",
            "Original, reconstruction, then each attribute off and on.", (_OURS, _WHOLE), several=True),
    Exhibit("figure6", "picture", "Figure 6: the same edits by the other methods", _ROW, (_OURS, *_RIVALS)),
    Exhibit("figure7", "chart", "Figure 7: what a linear classifier reads from the latent mean",
            "Held-out balanced accuracy by attribute; one half means that nothing is read. The VAEs want all "
            "attributes to be readable, IFcVAE-GAN wants its own attribute not to be.",
            (*_PLAIN, _OURS, _NAIVE, _WHOLE), ("balanced.linear.mean.{a}",)),
    Exhibit("leakage", "table", "What a fresh probe reads of y in z",
            "Probes on frozen codes, and the lower bound that they give for I(z; y) in bits.",
            (*_MAIN, *_PLAIN), _LEAKS),
    Exhibit("composed", "table", "What a user sees: edits composed into the photo",
            "The same edits after each compositing mode on the photo's own crop.", _MAIN, _COMPOSED),
    Exhibit("quality", "table", "Pictures: likeness, identity, collateral change, sample quality",
            "Reconstructions and samples, and what else an edit flips.", (*_MAIN, *_PLAIN), _PICTURE),
    Exhibit("truth", "table", "Distance from the true counterfactual (synthetic faces)",
            "The same synthetic face with the attribute flipped is the right answer.", _MAIN, _TRUTH),
)  # fmt: skip

NAMES = tuple(exhibit.name for exhibit in EXHIBITS)


def find_exhibits(name: str, synthetic: bool) -> tuple[Exhibit, ...]:
    """The exhibit of that name, or all that apply to the data.

    Raises:
        ConfigError: there is none; or it needs synthetic faces.
    """
    if name == "all":
        return tuple(e for e in EXHIBITS if synthetic or e.name != "truth")
    if name not in NAMES:
        raise ConfigError(f"There is no table or figure {name!r}.", nearest_names(name, [*NAMES, "all"]))
    if name == "truth" and not synthetic:
        raise ConfigError(
            "Only synthetic faces have a true counterfactual.",
            "Give --data synthetic, and an evaluator for it.",
        )
    return (EXHIBITS[NAMES.index(name)],)
