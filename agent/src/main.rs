//! The edge agent: runs containers on one device for the platform.

fn main() {}
