"""From files to arrays of patches, in batches that fit into memory."""
