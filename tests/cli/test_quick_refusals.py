"""What the words of a command line alone forbid is refused before anything that takes long is loaded."""

import ast
import subprocess
import sys

SLOW = {"torch", "cv2", "onnxruntime", "numpy", "PIL", "pandas", "av", "onnx"}

# Exit code, the command, what is said.
REFUSED = [
    (1, "edit nosuch.jpg --set Smiling=1", "There is no file nosuch.jpg"),
    (2, "edit {there}", "There is nothing to do"),
    (2, "edit {there} --set Smiling=1 -o out.xyz", "pictures of the kind '.xyz'"),
    (2, "edit {there} --set Smiling=1 -o {there}", "exists already"),
    (2, "edit {there} --set Smiling=1 --detector dlib", "Known: auto"),
    (2, "edit --engine ray {there} --set Smiling=1", "one source and one destination"),
    (1, "export nosuch -o out.aif", "There is no run or bundle nosuch"),
    (2, "export {there} -o out.onnx", "Known: .aif"),
    (2, "export-serving tritn", "Known: triton"),
    (1, "export-serving triton nosuch.aif", "There is no bundle nosuch.aif"),
    (1, "train --data nosuch --attributes Smiling --out run --preset linear", "There is no folder nosuch"),
    (1, "fit evaluator --data nosuch -o out", "There is no folder nosuch"),
    (1, "eval nosuch --evaluator nosuch", "There is no run or bundle nosuch"),
    (1, "eval {there} --evaluator nosuch", "There is no evaluator nosuch"),
    (1, "calibrate nosuch --bundle nosuch --data nosuch --classifier nosuch", "There is no run nosuch"),
    (2, "serve --port abc", "--port"),
    (2, "serve --detector dlib", "Known: auto"),
    (1, "serve --bundle nosuch.aif", "There is no bundle nosuch.aif"),
    (2, "bench nosuch", "There is no benchmark 'nosuch'"),
]

PROBE = """
import contextlib, io, sys
from aif.cli import main
for words in ASKED:
    sys.argv, said = ["aif", *words.split()], io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            main.main()
        except SystemExit as stopped:
            code = stopped.code
    print((code, said.getvalue(), sorted(set(sys.modules) & SLOW)))
"""


def test_a_refusal_loads_nothing_that_takes_long(tmp_path):
    """All in one process: what one has loaded, all after it have, too."""
    (tmp_path / "there.jpg").write_bytes(b"")
    asked = [words.format(there="there.jpg") for _, words, _ in REFUSED]
    code = PROBE.replace("ASKED", repr(asked)).replace("SLOW", repr(SLOW))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for (wanted, _, said), words, answer in zip(REFUSED, asked, done.stdout.splitlines(), strict=True):
        assert ast.literal_eval(answer)[::2] == (wanted, []), words
        assert said in ast.literal_eval(answer)[1], words
    assert [each.name for each in tmp_path.iterdir()] == ["there.jpg"]
