"""`aif eval RUN` and `aif eval BUNDLE`: measure one model, by one of the protocols."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.cli.console import say
from aif.cli.options import check_new, check_there
from aif.runtime.errors import ConfigError, nearest_names

if TYPE_CHECKING:
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.editing.editor import Editor
    from aif.train.data.base import FaceDataset
    from aif.train.data.open import Split
    from aif.train.evaluation.counting import EditOptions
    from aif.train.evaluation.measure import EditingModel
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `aif eval --help` says what each means."""

    model: Path
    evaluator: Path | None
    identity: Path | None
    data: Path | None
    table: Path | None
    out: Path | None
    attributes: tuple[str, ...] | None
    groups: tuple[str, ...]
    faces: int | None
    probe_faces: int
    protocol: str
    overwrite: bool = False

    def check_new(self, name: str) -> None:
        """Raise a ConfigError where a file of that report would be replaced unasked."""
        figures = ("metrics.json",) if name in ("evaluation", "composed") else ()
        for file in (f"{name}.md", f"{name}.json", *figures):
            check_new(None if self.out is None else self.out / file, self.overwrite)

    def write(self, name: str, text: str, value: object, **figures: float) -> None:
        """Write the report of that name where there is a folder for it."""
        from aif.train.evaluation.report import write_report

        if self.out is not None:
            write_report(self.out, name, text, value, not self.overwrite, **figures)

    @property
    def is_run(self) -> bool:
        """Whether the model is a run, not a bundle."""
        return (self.model / "config.json").exists()

    def bundle(self) -> Bundle:
        """The bundle; a run is refused, for it has no runtime."""
        from aif.runtime.bundle.bundle import Bundle

        if self.is_run:
            raise ConfigError(
                "Edits as the user sees them are measured with a bundle.",
                f"aif-export {self.model} -o model.aif",
            )
        return Bundle.open(self.model)

    def open(self, split: Split, names: Sequence[str], size: int) -> FaceDataset:
        """Labelled faces whose columns are `names`, then the groups."""
        from aif.train.data.open import open_faces

        columns = [*names, *(name for name in self.groups if name not in names)]
        return open_faces(self.data, split, columns, table=self.table, image_size=size)


def measure_model(asked: Request, exhibits: tuple[str, ...]) -> None:
    """Measure a run or a bundle, print what was found, and write it where there is a folder for it."""
    if asked.protocol not in PROTOCOLS:
        raise ConfigError(
            f"There is no protocol {asked.protocol!r}.", nearest_names(asked.protocol, PROTOCOLS)
        )
    if asked.identity is not None and asked.protocol in ("paper", "robustness"):
        raise ConfigError(f"--protocol {asked.protocol} compares no people.", "Leave --identity out.")
    check_there(asked.model, "run or bundle", nearest_names(str(asked.model), exhibits))
    check_there(asked.evaluator, "evaluator", "Train one with `aif fit evaluator`.")
    check_there(asked.identity, "identity network", "Train one with `aif fit identity`.")
    protocol = asked.protocol
    if protocol == "full" and not asked.is_run and asked.bundle().manifest.frame == "shape":
        protocol = "composed"
    asked.check_new("evaluation" if protocol == "full" else protocol)
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork

    assert asked.evaluator is not None
    evaluator = Evaluator.load(asked.evaluator)
    network = None if asked.identity is None else IdentityNetwork.load(asked.identity)
    PROTOCOLS[protocol](asked, evaluator, network)


def measure_realism(asked: Request, attributes: list[str]) -> None:
    """Train an adversary for each attribute; print its AUC, and write it where there is a folder."""
    check_there(asked.model, "bundle", "Make one with aif-export.")
    asked.check_new("realism")
    from aif.runtime.editing.editor import Editor
    from aif.train.evaluation import realism
    from aif.train.evaluators.adversary import AdversaryConfig

    bundle, rows, config = asked.bundle(), [], AdversaryConfig()
    faces = asked.open("val", attributes, config.image_size)
    with Editor.load(bundle, provider="cpu", detector="haar") as editor:
        for name in attributes:
            rows.append(realism.measure_realism(editor, faces, name, config, say))
            typer.echo(str(rows[-1]))
    asked.write("realism", realism.to_markdown(rows), rows)


def _composed(asked: Request, evaluator: Evaluator, network: IdentityNetwork | None) -> None:
    """Edits of held-out faces, both ways, as the user sees them."""
    from aif.train.evaluation.composed import measure_composed

    with _as_users_see(asked, evaluator) as (editor, held_out, options, indices):
        found = measure_composed(editor, held_out, evaluator, options, indices=indices, identity=network)
    typer.echo(found.to_markdown())
    asked.write("composed", found.to_markdown(), found, **found.summary())


def _robustness(asked: Request, evaluator: Evaluator, _: IdentityNetwork | None) -> None:
    """The same for faces that are spoilt first, in one way after the other."""
    from aif.train.evaluation.robustness import measure_robustness, to_markdown

    with _as_users_see(asked, evaluator) as (editor, held_out, options, indices):
        found = measure_robustness(editor, held_out, evaluator, options, indices=indices, log=say)
    typer.echo(to_markdown(found))
    asked.write("robustness", to_markdown(found), found)


@contextlib.contextmanager
def _as_users_see(
    asked: Request, evaluator: Evaluator
) -> Iterator[tuple[Editor, FaceDataset, EditOptions, range]]:
    """A bundle's editor, held-out faces, what to edit in them, and in which of them."""
    from aif.runtime.editing.editor import Editor
    from aif.train.evaluation.counting import EditOptions, first_faces

    bundle = asked.bundle()
    manifest = bundle.manifest
    held_out = asked.open("val", asked.attributes or manifest.attribute_names, manifest.image_size)
    along = {info.name: sorted(info.others & set(evaluator.attributes)) for info in manifest.attributes}
    indices = first_faces(held_out, asked.faces)
    with Editor.load(bundle, provider="cpu", detector="haar") as editor:
        yield editor, held_out, EditOptions(asked.attributes, asked.groups, along=along), indices


def _full(asked: Request, evaluator: Evaluator, network: IdentityNetwork | None) -> None:
    """Reconstruction, edits and leaks of a model of whole crops."""
    from aif.train.evaluation.counting import EditOptions
    from aif.train.evaluation.evaluate import evaluate

    model = _editing_model(asked)
    names, size = list(model.attributes), model.image_size
    train, validation = asked.open("train", names, size), asked.open("val", names, size)
    found = evaluate(
        model,
        train,
        validation,
        evaluator,
        EditOptions(asked.attributes, asked.groups),
        edit_faces=asked.faces,
        probe_faces=asked.probe_faces,
        identity=network,
    )
    typer.echo(found.to_markdown())
    asked.write("evaluation", found.to_markdown(), found, **found.summary())


def _paper(asked: Request, evaluator: Evaluator, _: IdentityNetwork | None) -> None:
    """The paper's own count of successes."""
    from aif.train.evaluation.paper_protocol import paper_protocol

    model = _editing_model(asked)
    names = list(model.attributes)
    validation = asked.open("val", names, model.image_size)
    for score in paper_protocol(model, validation, evaluator, asked.attributes or names):
        typer.echo(str(score))


def _editing_model(asked: Request) -> EditingModel:
    from aif.runtime.model.model import FaceModel
    from aif.train.evaluation.measure import TorchModel
    from aif.train.training.run import load_run

    return TorchModel.of(load_run(asked.model)) if asked.is_run else FaceModel(asked.bundle())


PROTOCOLS = {"full": _full, "composed": _composed, "paper": _paper, "robustness": _robustness}
