//! The WAMP router: sockets, authentication, limits.

fn main() {}
