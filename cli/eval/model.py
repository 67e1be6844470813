"""`aif eval RUN`: measure one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.runtime.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from aif.train.evaluators.evaluator import Evaluator


PROTOCOLS = ("full", "composed", "paper", "robustness")


def measure_model(
    model: Path,
    data: Path | None,
    evaluator: Path,
    out: Path | None,
    *,
    table: Path | None,
    attributes: list[str] | None,
    groups: list[str],
    faces: int | None,
    probe_faces: int,
    identity: Path | None,
    protocol: str,
    detector: str,
    yunet: Path | None,
) -> None:
    """Measure a run or a bundle, write what was found where there is a folder for it, and print it."""
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.errors import nearest_names
    from aif.runtime.model.model import FaceModel
    from aif.train.data.open import open_faces
    from aif.train.evaluation.evaluate import evaluate, write_evaluation, write_texts
    from aif.train.evaluation.measure import EditingModel, TorchModel
    from aif.train.evaluation.paper_protocol import paper_protocol
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork
    from aif.train.training.run import load_run

    if protocol not in PROTOCOLS:
        raise ConfigError(f"There is no protocol {protocol!r}.", nearest_names(protocol, PROTOCOLS))
    if not model.exists():
        from aif.cli.eval.command import EXHIBITS

        raise CheckpointError(f"There is no run or bundle {model}.", nearest_names(str(model), EXHIBITS))
    judge = Evaluator.load(evaluator)
    network = None if identity is None else IdentityNetwork.load(identity)
    is_run = (model / "config.json").exists()
    has_shape = not is_run and Bundle.open(model).manifest.frame == "shape"
    if protocol == "composed" or (protocol == "full" and has_shape):
        from aif.cli.eval.composed import print_composed

        print_composed(
            model,
            data,
            judge,
            out,
            table=table,
            attributes=attributes,
            groups=groups,
            faces=faces,
            identity=network,
        )
        return
    if out is None and protocol != "paper":
        raise ConfigError("What is found needs a folder.", "Give one: --out FOLDER.")
    if out is not None and protocol == "robustness":
        _robustness(
            model,
            data,
            judge,
            out,
            table=table,
            attributes=attributes,
            faces=faces,
            detector=detector,
            yunet=yunet,
        )
        return
    measured: EditingModel
    if is_run:
        run = load_run(model)
        size = run.config.network.image_size
        measured = TorchModel(run.encoder, run.decoder, run.config.data.attributes, size)
    else:
        measured = FaceModel(Bundle.open(model))
    size, names = measured.image_size, list(measured.attributes)
    columns = [*names, *(name for name in groups if name not in names)]
    validation = open_faces(data, "val", columns, table=table, image_size=size)
    if protocol == "paper":
        for score in paper_protocol(measured, validation, judge, attributes or names):
            typer.echo(str(score))
        return
    assert out is not None
    train = open_faces(data, "train", names, table=table, image_size=size)
    result = evaluate(
        measured,
        train,
        validation,
        judge,
        attributes=attributes,
        groups=groups,
        edit_faces=faces,
        probe_faces=probe_faces,
    )
    write_evaluation(result, out)
    typer.echo(result.to_markdown())
    if network is not None:
        from aif.train.evaluation import likeness

        rows = likeness.measure_likeness(measured, validation, network, attributes=attributes, faces=faces)
        texts = {"likeness.md": likeness.to_markdown(rows), "likeness.json": likeness.to_json(rows)}
        write_texts(texts, out)
        typer.echo(texts["likeness.md"])


def _robustness(
    model: Path,
    data: Path | None,
    judge: Evaluator,
    out: Path,
    *,
    table: Path | None,
    attributes: list[str] | None,
    faces: int | None,
    detector: str,
    yunet: Path | None,
) -> None:
    """Edit disturbed photos with the whole runtime, and write and print how that went."""
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.editing.editor import Editor
    from aif.runtime.faces.detect import make_detector
    from aif.train.data.open import open_faces
    from aif.train.evaluation.evaluate import write_texts
    from aif.train.evaluation.robustness import measure_robustness, to_json, to_markdown

    if (model / "config.json").exists():
        raise ConfigError("The whole runtime is measured with a bundle.", f"aif-export {model} -o model.aif")
    bundle = Bundle.open(model)
    name = attributes[0] if attributes else bundle.manifest.attribute_names[0]
    photos = open_faces(data, "val", [name], table=table, crop="whole")
    finder = make_detector(detector, bundle, yunet)  # type: ignore[arg-type] # which checks it
    with Editor.load(bundle, provider="cpu", detector=finder) as editor:
        reference = make_detector("auto", bundle, yunet)
        scores = measure_robustness(editor, photos, judge, reference, name, faces=faces)
    text = f"{name}, {detector}; {photos.name}, {photos.fingerprint[:12]}\n\n{to_markdown(scores)}"
    write_texts({"robustness.md": text, "robustness.json": to_json(scores)}, out)
    typer.echo(text)
