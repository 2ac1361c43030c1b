//! Placeholder until the layer's first commit.
