"""One fit of a network, from the plan to what was learned."""
