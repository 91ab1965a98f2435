//! How an input splits into items and how outputs join.
