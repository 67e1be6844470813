"""TensorRT engines built on first use, checked on the faces that are to be edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aif.runtime.batch.machine import Machine
from aif.runtime.batch.picture import read_source
from aif.runtime.batch.sources import DEMO, Source
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.model.codes import FaceInputs

MOST_FACES, MOST_PICTURES = 16, 64
NO_FACES = (
    "Name a photo of a face once: aif-edit PHOTO --show-attributes --provider tensorrt --build-engines. "
    "The engines are kept. Or build them into the bundle: aif-export BUNDLE -o BUNDLE --trt --data FACES"
)


def build_for(
    bundle: Bundle,
    sources: Sequence[Source],
    machine: Machine,
    max_megapixels: float | None,
    tell: Callable[[str], None],
) -> None:
    """Build engines into the user's cache, unless some that fit are there, or in a bundle with "tensorrt".

    They are checked on the faces in `sources`; if that fails, nothing is kept.
    """
    from aif.runtime.model.make_engines import make_engines
    from aif.runtime.tensorrt.library import load_library
    from aif.runtime.tensorrt.load import fitting
    from aif.runtime.tensorrt.store import BUILDABLE, check_buildable, find_engines, save_to_cache

    here = load_library()
    known = bundle.manifest.graphs
    chosen = machine.precision or next((name for name in BUILDABLE if name in known), next(iter(known)))
    check_buildable([chosen])
    engines, _ = find_engines(bundle, brought=machine.provider == "tensorrt")
    if chosen in known and not fitting(bundle, engines, chosen, here)[1]:
        return
    with replace(machine, provider="cpu", threads=None, precision=None).load(bundle) as editor:
        faces = _faces(editor, sources, max_megapixels)
    made = make_engines(bundle, chosen, faces, "faces in the pictures to edit", report=tell)
    for place in save_to_cache(made):
        tell(f"Built {place}")


def _faces(editor: Editor, sources: Sequence[Source], max_megapixels: float | None) -> FaceInputs:
    """The first faces in the pictures, as the encoder will see them."""
    from aif.runtime.editing.similarity.path import Exposure

    found: list[FaceInputs] = []
    count = 0
    rereadable = [each for each in sources if not each.is_video and (each.path or each.label == DEMO)]
    for source in rereadable[:MOST_PICTURES]:
        try:
            frame = read_source(source, max_megapixels)[0].pixels_hwc_bgr
        except AifError:  # reported when its turn comes
            continue
        if views := editor.path.look(frame, editor.detect(frame)):
            found.append(editor.path.cut(frame, views))
            count += len(views)
        if count >= MOST_FACES:
            break
    if not found:
        raise ConfigError("Engines are checked on faces, and no face was found in the pictures.", NO_FACES)
    joined = FaceInputs.joined(found)
    images = joined.images[:MOST_FACES]
    if joined.landmarks is None:  # models of whole crops see them with their exposure evened out
        return FaceInputs(Exposure.of(images).level(images))
    return FaceInputs(images, joined.landmarks[:MOST_FACES])
