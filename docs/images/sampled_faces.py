"""Draw docs/images/sampled.jpg: faces that nobody has, out of a bundle's decoder, each with a few edits.

    python docs/images/sampled_faces.py DATA

Codes come from a normal distribution with the mean and 0.7 times the spread of the codes of DATA's validation
faces, attribute values as often as they are predicted there; nothing else of the data goes into the picture.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.bundle import Bundle
from aif.runtime.model import Encoding, FaceModel
from aif.train.data.loader import evaluation_batches
from aif.train.data.open import open_faces

FACES, ROWS, SIDE, SEED = 2_000, 4, 128, 5
SPREAD = 0.7  # of the drawn codes, in standard deviations of the found ones: nearer to the mean is cleaner
EDITS = ({}, {"Smiling": 0}, {"Smiling": 1}, {"Eyeglasses": 1}, {"Blond_Hair": 1}, {"Young": 0}, {"Male": 1})


def main(data: Path, out: Path) -> None:
    """Encode validation faces, draw new codes, decode them with every edit, and write the grid to `out`."""
    model = FaceModel(Bundle.open())
    names = list(model.attributes)
    faces = open_faces(data, "val", names)
    batches = evaluation_batches(faces, model.image_size, 100, range(min(FACES, len(faces))))
    found = [model.encode(batch.images.numpy().astype(np.float32) / 255) for batch in batches]
    z, y = np.concatenate([code.z for code in found]), np.concatenate([code.y for code in found])
    rng = np.random.default_rng(SEED)
    drawn = rng.multivariate_normal(z.mean(0), SPREAD**2 * np.cov(z.T), size=ROWS).astype(np.float32)
    values = y[rng.integers(len(y), size=ROWS)].round()
    columns = []
    for edit in EDITS:
        asked = values.copy()
        for name, value in edit.items():
            asked[:, names.index(name)] = value
        images = model.decode(Encoding(drawn, asked, {}), asked)
        faces_hwc = (images.transpose(0, 2, 3, 1)[..., ::-1] * 255).round().astype(np.uint8)
        tall = [cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for face in faces_hwc]
        title = np.full((24, SIDE, 3), 255, np.uint8)
        text = ", ".join(f"{name}={value}" for name, value in edit.items()) or "drawn"
        cv2.putText(title, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(np.vstack([title, *tall]))
    cv2.imwrite(str(out), np.hstack(columns))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("sampled.jpg"))
