"""From files to arrays of patches."""
