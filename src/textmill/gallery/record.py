"""What a job says about itself, with the names and values that LocalAI's clients poll for."""

from __future__ import annotations

import msgspec

from textmill.gallery.progress import Progress


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A job: done when ``processed``, then well unless ``error``. ``progress`` goes from 0 to 100, sizes are bytes or texts."""

    uuid: str
    gallery_element_name: str = ""
    processed: bool = False
    progress: float = 0.0
    message: str = "queued"
    error: str | None = None
    phase: str = "queued"
    file_name: str = ""
    file_size: str = ""
    downloaded_size: str = ""
    current_bytes: int = 0
    total_bytes: int = 0
    rate: float = 0.0
    deletion: bool = False
    cancelled: bool = False
    cancellable: bool = True

    def with_message(self, message: str) -> Record:
        """The record of a job that has begun."""
        return msgspec.structs.replace(self, message=message, phase=message)

    def with_progress(self, progress: Progress) -> Record:
        """The record after a report; its percentage never goes back."""
        return msgspec.structs.replace(
            self,
            message="processing",
            phase=progress.phase,
            progress=round(max(self.progress, min(progress.percent, 99.9)), 2),
            file_name=progress.file,
            file_size=_human(progress.total) if progress.total else "",
            downloaded_size=_human(progress.done),
            current_bytes=progress.done,
            total_bytes=progress.total or 0,
            rate=round(progress.rate, 1),
        )

    def with_cancelled(self) -> Record:
        """The record of a job that somebody has stopped."""
        return msgspec.structs.replace(
            self, processed=True, cancelled=True, cancellable=False, message="cancelled", phase="cancelled", rate=0.0
        )

    def with_end(self, error: str | None) -> Record:
        """The record of a job that has ended, well where there is no error."""
        if error is not None:
            return msgspec.structs.replace(
                self,
                processed=True,
                cancellable=False,
                error=error,
                message=f"error: {error}",
                phase="failed",
                rate=0.0,
            )
        return msgspec.structs.replace(
            self, processed=True, cancellable=False, progress=100.0, message="completed", phase="completed", rate=0.0
        )


def _human(size: int) -> str:
    """A size for people, such as 1.2 GiB."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:  # noqa: PLR2004 - of the binary units
        value /= 1024
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{size} B"
