"""One fit of a network, from the plan to what was learned."""

# A file of this name in a `checkpoint_dir` keeps the epochs of fits that are done.
KEEP = "keep"
