"""Heading, unit and meaning of every measure, by its name."""

from __future__ import annotations

from aif.train.paper.report import Column

_WHERE = {
    "decoded": "on the decoded face",
    "delta": "after delta compositing into the photo's crop",
    "replace": "after replace compositing into the photo's crop",
}
_CODE = {"mean": "posterior means", "sample": "samples of the posterior"}
_PROBE = {"linear": "a fresh logistic regression", "mlp": "a fresh MLP with two hidden layers"}

_PLAIN = {
    "mse": Column(
        "mse", "MSE", "Mean squared error of reconstructions, pixels in [0, 1].", digits=4, better="low"
    ),
    "psnr": Column(
        "psnr", "PSNR", "Peak signal-to-noise ratio of reconstructions in dB, averaged over faces.",
        better="high",
    ),
    "ssim": Column(
        "ssim", "SSIM", "Structural similarity of reconstructions; 1 = equal.", digits=3, better="high"
    ),
    "lpips": Column(
        "lpips", "LPIPS", "Learned perceptual distance of reconstructions (AlexNet).", digits=3, better="low"
    ),
    "reconstruction.flips": Column(
        "reconstruction.flips", "flips by reconstruction",
        "Mean share, over attributes that are not edited, of predictions that reconstruction alone changes.",
        percent=True, better="low",
    ),
    "frechet.reconstruction": Column(
        "frechet.reconstruction", "Frechet, reconstructions",
        "Frechet distance of reconstructions from real faces on the evaluator's penultimate features "
        "(ResNet-18; not comparable with Inception figures).",
        better="low",
    ),
    "frechet.sample": Column(
        "frechet.sample", "Frechet, samples",
        "The same for faces decoded from samples of the prior, with the attributes of real faces.",
        better="low",
    ),
    "identity.reconstruction": Column(
        "identity.reconstruction", "identity, reconstruction",
        "Mean cosine of identity embeddings, original against reconstruction.", digits=3, better="high",
    ),
    "identity.other": Column(
        "identity.other", "identity, other people",
        "Mean cosine of identity embeddings, original against another person.", digits=3,
    ),
}  # fmt: skip


def column(key: str, worth: str) -> Column:
    """What the measure `key` is; `worth` says how accurate the evaluator itself is.

    Raises:
        KeyError: there is no such measure.
    """
    if key in _PLAIN:
        return _PLAIN[key]
    head, *rest = key.split(".")
    makers = {
        "paper": _paper, "y": _accuracy, "probe": _probe, "balanced": _probe, "bits": _probe,
        "majority": _majority, "identity": _identity, "sharpness": _sharpness, "truth": _truth,
    }  # fmt: skip
    make = makers.get(head, _edit)
    try:
        return make(key, head, rest, worth)
    except (ValueError, KeyError) as error:
        raise KeyError(f"there is no measure {key!r}") from error


def _edit(key: str, head: str, rest: list[str], worth: str) -> Column:
    direction, path, *extra = rest
    wanted = {"on": "absent", "off": "present"}[direction]
    if extra == ["collateral"]:
        text = (
            f"Share of the evaluator's predictions of all other attributes that differ between the face with "
            f"{head} set {direction} and the same face unedited, {_WHERE[path]}."
        )
        return Column(key, f"flips by {head} {direction}", text, percent=True, better="low")
    if extra:
        raise ValueError(key)
    text = (
        f"Share of the faces on which label and evaluator call {head} {wanted} where the evaluator sees the "
        f"opposite after the edit, {_WHERE[path]}. {worth}".strip()
    )
    label = f"{head} {direction}" if path == "decoded" else f"{head} {direction}, {path}"
    return Column(key, label, text, percent=True, better="high")


def _paper(key: str, head: str, rest: list[str], worth: str) -> Column:
    (direction,) = rest
    value = {"on": 1, "off": 0}[direction]
    text = (
        f"The paper's protocol: of the first 100 test images those with the attribute, decoded with "
        f"y = {value}; share on which the evaluator agrees. {worth}".strip()
    )
    return Column(key, f"y = {value}, paper's count", text, percent=True, better="high")


def _accuracy(key: str, head: str, rest: list[str], worth: str) -> Column:
    (name,) = rest
    return Column(
        key, f"E_y: {name}", f"Accuracy of the encoder's own y for {name} against the labels.", percent=True,
        better="high",
    )  # fmt: skip


def _probe(key: str, head: str, rest: list[str], worth: str) -> Column:
    kind, code, name = rest
    reader = f"{_PROBE[kind]} trained on {_CODE[code]}"
    short = f"{name}, {kind} on {code}"
    if head == "bits":
        text = f"Lower bound of I(z; {name}): entropy of the label less the cross-entropy of {reader}."
        return Column(key, f"bits: {short}", text, digits=3)
    if head == "balanced":
        text = f"Mean over both label values of the held-out accuracy of {reader}; one half: nothing is read."
        return Column(key, f"balanced: {short}", text, percent=True)
    return Column(key, f"probe: {short}", f"Held-out accuracy of {reader}.", percent=True)


def _majority(key: str, head: str, rest: list[str], worth: str) -> Column:
    (name,) = rest
    return Column(key, "majority", f"Accuracy of always naming the commoner value of {name}.", percent=True)


def _identity(key: str, head: str, rest: list[str], worth: str) -> Column:
    *kept, path = rest
    if kept == ["kept"]:
        text = (
            f"Identity kept by the edit {_WHERE[path]}: 0 = another person, 1 = the same picture (cosine of "
            "embeddings, rescaled)."
        )
        return Column(key, f"identity kept, {path}", text, digits=3, better="high")
    if kept:
        raise ValueError(key)
    text = f"Mean cosine of identity embeddings, original against edited, {_WHERE[path]}."
    return Column(key, f"identity, {path}", text, digits=3, better="high")


def _sharpness(key: str, head: str, rest: list[str], worth: str) -> Column:
    (mode,) = rest
    text = f"High-frequency energy in the face {_WHERE[mode]}, as a share of the photo's."
    return Column(key, f"sharpness, {mode}", text, digits=2)


def _truth(key: str, head: str, rest: list[str], worth: str) -> Column:
    direction, what, where = rest
    whose = {
        "edit": "the edited face",
        "nothing": "the unedited original",
        "floor": "the reconstruction of the true picture",
    }[what]
    place = {"inside": "where the truth differs from the original", "outside": "everywhere else"}[where]
    wanted = {"on": "present", "off": "absent"}[direction]
    text = f"Mean absolute error of {whose} against the face made with the attribute {wanted}, {place}."
    return Column(key, f"{direction}, {what}, {where}", text, digits=4, better="low")
