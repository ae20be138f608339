//! Everything a person types to work on the project.

fn main() {}
