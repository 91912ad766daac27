"""What the requests of one worker share."""

from __future__ import annotations

import asyncio

from detector.detector import Detector
from detector.serve.admission import Admission
from detector.serve.batcher import Batcher
from detector.serve.settings import Settings

_WARM_UP = "<p>The library opens at nine.</p><p>Subscribe to our newsletter.</p>"
DRAIN_SECONDS = 5.0
"""How long a batch that is still being sent is read on when the service stops."""


class Service:
    """The detector, its batcher, the limits, and whether the worker is about to stop. Made on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self.limits = settings.limits
        self.token = settings.token
        detector = Detector.load(settings.model)
        detector.model.widen()
        detector.label_html(_WARM_UP)
        self.batcher = Batcher(detector)
        self.admission = Admission(settings.limits)
        self.draining = asyncio.Event()
        self.cut = asyncio.Event()
        """Set when batches are to be read no further."""

    def drain(self) -> None:
        """Take on nothing new that can be told to go elsewhere; what is under way is finished."""
        if not self.draining.is_set():
            self.draining.set()
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self.cut.set)

    def stop(self) -> None:
        """Label what is queued, then end the threads."""
        self.batcher.stop()
