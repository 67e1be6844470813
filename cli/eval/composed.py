"""`aif eval BUNDLE`: measure edits as the user sees them, and whether an adversary can find them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aif.runtime.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from aif.runtime.bundle.bundle import Bundle
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.evaluators.identity import IdentityNetwork


def open_bundle(path: Path) -> Bundle:
    """The bundle at `path`; a run is refused, for it has no runtime."""
    from aif.runtime.bundle.bundle import Bundle

    if not path.exists():
        raise CheckpointError(f"There is no bundle {path}.", "Make one with aif-export.")
    if (path / "config.json").exists():
        raise ConfigError(
            "Edits as the user sees them are measured with a bundle.", f"aif-export {path} -o model.aif"
        )
    return Bundle.open(path)


def print_realism(
    model: Path, data: Path | None, attributes: list[str], out: Path | None, *, table: Path | None
) -> None:
    """Train an adversary for each attribute; print its AUC, and write it where there is a folder."""
    from aif.runtime.editing.editor import Editor
    from aif.train.data.open import open_faces
    from aif.train.evaluation.evaluate import write_texts
    from aif.train.evaluation.realism import measure_realism, to_json, to_markdown
    from aif.train.evaluators.adversary import AdversaryConfig

    bundle, rows, config = open_bundle(model), [], AdversaryConfig()
    faces = open_faces(data, "val", attributes, table=table, image_size=config.image_size)
    with Editor.load(bundle, provider="cpu", detector="haar") as editor:
        for name in attributes:
            rows.append(
                measure_realism(editor, faces, name, config, log=lambda line: typer.echo(line, err=True))
            )
            typer.echo(str(rows[-1]))
    if out is not None:
        write_texts({"realism.md": to_markdown(rows), "realism.json": to_json(rows)}, out)


def print_composed(
    model: Path,
    data: Path | None,
    evaluator: Evaluator,
    out: Path | None,
    *,
    table: Path | None,
    attributes: list[str] | None,
    groups: list[str],
    faces: int | None,
    identity: IdentityNetwork | None,
) -> None:
    """Edit held-out faces both ways; print what was found, and write it where there is a folder."""
    import json

    from aif.runtime.editing.editor import Editor
    from aif.train.data.open import open_faces
    from aif.train.evaluation.composed import ComposedOptions, measure_composed
    from aif.train.evaluation.evaluate import write_texts

    bundle = open_bundle(model)
    manifest = bundle.manifest
    names = attributes or list(manifest.attribute_names)
    columns = [*names, *(name for name in groups if name not in names)]
    held_out = open_faces(data, "val", columns, table=table, image_size=manifest.image_size)
    options = ComposedOptions(
        attributes=tuple(names),
        groups=tuple(groups),
        along={
            info.name: tuple(sorted(info.others & set(evaluator.attributes))) for info in manifest.attributes
        },
        faces=faces,
    )
    with Editor.load(bundle, provider="cpu", detector="haar") as editor:
        found = measure_composed(editor, held_out, evaluator, options, identity=identity)
    typer.echo(found.to_markdown())
    if out is not None:
        texts = {"composed.md": found.to_markdown(), "composed.json": found.to_json()}
        write_texts(texts | {"metrics.json": json.dumps(found.summary(), indent=1) + "\n"}, out)
