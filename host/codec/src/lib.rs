//! Decoders and encoders of picture formats, for the convert role only.
