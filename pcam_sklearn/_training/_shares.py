"""Batches that several devices share."""

from pcam_sklearn._training._backends import current_framework


def check_shares(batch_size: int, n_devices: int) -> None:
    """Raise ValueError for batches that do not divide among the devices."""
    if batch_size % n_devices == 0:
        return
    below, above = batch_size // n_devices * n_devices, -(-batch_size // n_devices) * n_devices
    allowed = " or ".join(f"batch_size={size}" for size in (below, above) if size)
    raise ValueError(
        f"batch_size={batch_size} does not divide among {n_devices} devices, which share each "
        f"batch; type {allowed}."
    )


def watched_batch_size(n_rows: int, at_least: int, n_devices: int) -> int:
    """Return the size of batches of held-out patches, which all devices share if that can be."""
    most = -(-at_least // n_devices) * n_devices
    # Each batch size leaves another number of patches for the last batch.
    sizes = range(most, 0, -n_devices) if n_devices > 1 else ()
    framework = current_framework()
    return next((size for size in sizes if framework.copies_of_last(n_rows, size) == 1), most)
