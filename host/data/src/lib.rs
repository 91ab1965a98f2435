//! How an input splits into items and how outputs join: the arithmetic of both, the small headers that give a
//! picture its geometry, and the notations of the command line for all of it.
//!
//! Nothing here opens a file, decodes a format or decides when to read. Where bytes are needed they come through
//! [`lines::ReadAt`], so the same code runs in the coordinator, in a worker and in a test.

pub mod cut;
pub mod duration;
pub mod envi;
pub mod fixed;
pub mod formats;
pub mod geometry;
pub mod lines;
pub mod merge;
pub mod npy;
pub mod size;
pub mod split;
pub mod strips;
pub mod tree;
