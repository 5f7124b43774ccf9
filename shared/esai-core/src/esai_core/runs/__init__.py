"""Run folders: written aside and renamed when whole, with a manifest that lets a run be repeated."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "RunFolder": "folder",
        "check_metrics": "metrics",
        "digest": "digests",
        "digest_file": "digests",
        "complete": "steps",
        "execute": "steps",
        "read_history": "history",
        "read_manifest": "manifest",
        "read_metrics": "metrics",
        "rerun": "repeat",
    },
)
