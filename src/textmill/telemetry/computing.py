"""What models compute: calls and batches, by model."""

from __future__ import annotations

from collections.abc import Iterator

from textmill.contract import Answered, BatchReport, Timings
from textmill.telemetry.series import Cells, Number, Series, counter, histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = tuple(2**k for k in range(13))
_TOKENS = tuple(2**k for k in range(4, 19))


class Computing:
    """The series of all models. Not thread-safe: `Telemetry` holds a lock."""

    def __init__(self) -> None:
        self._series: list[Series[Number] | Series[Cells]] = []
        self.inputs = self._counter("inputs", "Inputs computed.")
        self.truncated = self._counter("truncated_inputs", "Inputs that were cut to the model's length.")
        self.tokens = self._counter("tokens", "Tokens computed, special tokens and prompts included.")
        self.stages = self._histogram(
            "stage_seconds", "Time of a request in a stage: mean over its inputs.", SECONDS, "stage"
        )
        self.rows = self._histogram("batch_rows", "Rows in a batch.", _ROWS)
        self.batch_tokens = self._histogram("batch_tokens", "Tokens in a batch, without padding.", _TOKENS)
        self.seconds = self._histogram("batch_seconds", "Time of a forward pass.", SECONDS)
        self.padded = self._counter("padded_tokens", "Tokens of batches with every row padded to the longest.")
        self.padding = self._counter(
            "padding_tokens", "Of these, the padding: what rows of one length would have saved."
        )
        self.deduplicated = self._counter("deduplicated_rows", "Rows answered from an identical one in flight.")
        self.failed = self._counter("failed_rows", "Rows that the runtime failed on.")
        self._models: dict[str, _OfModel] = {}

    def of(self, model: str) -> _OfModel:
        """Those of a model, which are shown from now on."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = _OfModel(self, model)
        return found

    def lines(self) -> Iterator[str]:
        """All of them in the text format."""
        for series in self._series:
            yield from series.lines()

    def _counter(self, name: str, text: str) -> Series[Number]:
        made = counter(f"textmill_{name}_total", "model", text=text)
        self._series.append(made)
        return made

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Series[Cells]:
        made = histogram(f"textmill_{name}", bounds, "model", *labels, text=text)
        self._series.append(made)
        return made


class _OfModel:
    """One model's, found once."""

    def __init__(self, series: Computing, model: str) -> None:
        self._inputs = series.inputs.of(model)
        self._truncated = series.truncated.of(model)
        self._tokens = series.tokens.of(model)
        self._tokenize, self._queue, self._inference = (
            series.stages.of(model, stage) for stage in ("tokenize", "queue", "inference")
        )
        self._rows = series.rows.of(model)
        self._batch_tokens = series.batch_tokens.of(model)
        self._seconds = series.seconds.of(model)
        self._padded = series.padded.of(model)
        self._padding = series.padding.of(model)
        self._deduplicated = series.deduplicated.of(model)
        self._failed = series.failed.of(model)

    def answered(self, made: Answered) -> None:
        """Count a call."""
        self._inputs.value += len(made.tokens)
        self._tokens.value += sum(made.tokens)
        self._truncated.value += sum(made.truncated)

    def spent(self, timings: Timings) -> None:
        """Count a request's stages."""
        self._tokenize.add(timings.tokenize)
        self._queue.add(timings.queue)
        self._inference.add(timings.inference)

    def batch(self, report: BatchReport) -> None:
        """Count a batch."""
        self._rows.add(report.rows)
        self._batch_tokens.add(report.tokens)
        self._seconds.add(report.seconds)
        self._padded.value += report.padded_tokens
        self._padding.value += report.padded_tokens - report.tokens
        self._deduplicated.value += report.deduplicated_rows
        self._failed.value += report.failed_rows
