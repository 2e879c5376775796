"""OpenCV without its messages."""

from contextlib import contextmanager

import cv2

# The name of the module that sets the level, before and after OpenCV 4.13.
opencv_log = getattr(cv2.utils, "logging", cv2)
SILENT = 0


@contextmanager
def quiet_opencv():
    """Keep OpenCV from printing lines for each damaged file."""
    level = opencv_log.getLogLevel()
    opencv_log.setLogLevel(SILENT)
    yield
    opencv_log.setLogLevel(level)
