//! Safe wrappers over Linux: spawn, sockets, memfd, cores, signals, sandbox.
