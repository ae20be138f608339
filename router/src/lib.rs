//! The WAMP router: sockets, authentication, limits.
