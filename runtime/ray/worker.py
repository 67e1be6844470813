"""The two steps of a run on a cluster: pictures edited by a pool of workers, results put in their place."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ray.data import Datasink

from aif.runtime.batch.picture import edited_bytes
from aif.runtime.batch.record import FileRecord
from aif.runtime.errors import AifError, NoFaceError
from aif.runtime.image.io import read_image
from aif.runtime.ray.places import Place, suffix_of
from aif.runtime.ray.setup import Setup

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    from ray.data.datasource import WriteResult


class EditWorker:
    """Called by Ray Data with tables of files; an editor of its own."""

    def __init__(self, setup: Setup, source: str, outputs: Mapping[str, str]) -> None:
        """Load the editor; where that fails, every picture's record says why.

        source: any address in the file system of the pictures; outputs: each one's path, and its result's.
        """
        self._setup, self._source, self._outputs = setup, Place(source), outputs
        self._failure: AifError | None = None
        try:
            self._editor = setup.load()
        except AifError as error:
            fault = f"The worker on {socket.gethostname()} cannot start: {error.message}"
            self._failure = AifError(fault, error.fix)

    def __call__(self, table: pa.Table) -> dict[str, list[Any]]:
        """Edit the files of a table with the columns path and bytes.

        A row a file: input and output (paths), data (empty: none is made), and the record as JSON.
        """
        rows = []
        for row in table.to_pylist():
            output = self._outputs[row["path"]]
            record = FileRecord(self._source.name(row["path"]), settings=self._setup.plan.edit.settings)
            data = self._edit(row["bytes"], suffix_of(output), record)
            rows.append({"input": row["path"], "output": output, "data": data, "record": record.as_json()})
        return {name: [row[name] for row in rows] for name in ("input", "output", "data", "record")}

    def _edit(self, data: bytes, suffix: str, record: FileRecord) -> bytes:
        try:
            if self._failure is not None:
                raise self._failure
            picture = read_image(data, record.source, self._setup.plan.output.max_megapixels)
            return edited_bytes(self._editor, self._setup.plan, picture, data, suffix, record)
        except AifError as error:
            record.status = "no_face" if isinstance(error, NoFaceError) else "failed"
            record.failure = error
        except Exception as error:  # a fault of ours in one picture must not stop the others
            record.status, record.failure = "failed", AifError(f"{type(error).__name__}: {error}")
        return b""


class ResultSink(Datasink[list[dict[str, Any]]]):
    """Puts results in their place, each whole or not at all, and collects the records by picture's path."""

    def __init__(self, destination: str, new: bool = True) -> None:
        """Results go to the file system of this address; `new`: see `Place.put`."""
        self._destination, self._new = destination, new
        self.records: dict[str, dict[str, Any]] = {}

    def write(self, blocks: Iterable[pa.Table], ctx: object) -> list[dict[str, Any]]:
        """Put the results of some blocks; in any process of the cluster."""
        place, done = Place(self._destination), []
        for block in blocks:
            for row in block.to_pylist():
                record = json.loads(row["record"])
                try:
                    if row["data"]:
                        place.put(row["output"], row["data"], self._new)
                        record["output"] = place.name(row["output"])
                except AifError as error:
                    record |= {"status": "failed", "error": error.message}
                done.append({"path": row["input"], **record})
        return done

    def on_write_complete(self, write_result: WriteResult[list[dict[str, Any]]]) -> None:
        """Collect the records; in the process that started the run."""
        for records in write_result.write_returns:
            self.records |= {record.pop("path"): record for record in records}
